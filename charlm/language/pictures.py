"""Pictures of an evaluation: the text as a page of surprise, curves as PNG. Imports no torch."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from charlm.errors import DiskError
from charlm.evaluation.calibration import CalibrationCounter
from charlm.evaluation.curve import LearningCurve, read_learning_curve
from charlm.evaluation.metrics import Evaluation
from charlm.evaluation.page import page
from charlm.evaluation.plots import evaluation_plot, require_matplotlib
from charlm.evaluation.tokens import TokenScore
from charlm.language.combination import NETWORK, check_name
from charlm.language.directory import read_held_out
from charlm.language.evaluating import DocumentReader
from charlm.language.handle import LanguageModel
from charlm.options import check
from charlm.predict.predictor import Predictor
from charlm.storage import HashingFile
from charlm.text.finding import open_corpus, standard_input
from charlm.text.sources import ReadOptions
from charlm.text.tokenizers import Tokenizer

NAMED = 3  # files of a text, in its title


@dataclass(frozen=True)
class Pictures:
    """The files asked for. A file that is there is replaced; its name must be that of a picture.

    Raises UsageError for another name: `--html book.txt` would replace the book.
    """

    html: str | Path | None = None
    plot: str | Path | None = None

    def __post_init__(self) -> None:
        for path, endings in ((self.html, (".html", ".htm")), (self.plot, (".png",))):
            check(
                path is None or Path(path).suffix.lower() in endings,
                f"the name of the file to write must end in {endings[0]}, not {path}",
            )
        if self.plot is not None:
            require_matplotlib()


def draw_evaluation(
    model: LanguageModel,
    paths: Sequence[str],
    pictures: Pictures,
    *,
    predictor: str = NETWORK,
    encoding: str = "utf-8",
    strict: bool = False,
    text_column: str = "text",
    tell: Callable[[str], None] = lambda line: None,
) -> Evaluation:
    """Evaluate files, or without any the held-out text, as `LanguageModel.evaluate`, and draw it.

    predictor: whose scores come first, and whose predictions are drawn

    Raises DiskError where a picture cannot be written; then none of that name is there, or the
    old one.
    """
    curve = None if pictures.plot is None else read_learning_curve(model.directory)
    with ExitStack() as files:
        targets = [
            None if path is None else files.enter_context(_target(path))
            for path in (pictures.html, pictures.plot)
        ]
        if paths:
            raw = model.tokenizer.kind == "byte"
            options = ReadOptions(encoding, strict, raw=raw, text_column=text_column)
            corpus = files.enter_context(open_corpus(paths, options, standard_input()))
            evaluation = model.evaluate_corpus(corpus, predictor, tell)
            documents = DocumentReader(model.tokenizer, corpus.pieces()).documents()
        else:
            evaluation = model.evaluate(predictor=predictor, tell=tell)
            documents = _held_out(model)
        asked = model.parts.predictor(check_name(predictor, model.combination), model.parts.network)
        scores = _scores(asked, model.tokenizer, documents)
        _draw(scores, evaluation, (_names(paths), model.directory.resolve().name), curve, targets)
    return evaluation


def _draw(
    scores: Iterable[TokenScore | None],
    evaluation: Evaluation,
    names: tuple[str, str],
    curve: LearningCurve | None,
    targets: Sequence[HashingFile | None],
) -> None:
    """Write the pictures while the tokens come; names: of the text and of the model."""
    (text, model), (html, plot) = names, targets
    counter = CalibrationCounter()
    passing = counter.watch(scores)
    if html is not None:
        for piece in page(passing, evaluation, model, text):
            html.write(piece)
    if plot is not None:
        deque(passing, maxlen=0)  # what a page had no room for
        title = f"{text}, as read by {model} ({evaluation.predictor})"
        plot.write(evaluation_plot(counter.result, curve, title))


@contextmanager
def _target(path: str | Path) -> Iterator[HashingFile]:
    """Open a file to write, which comes to its name at the end; of a link, what it leads to."""
    real = Path(os.path.realpath(path))
    if real.exists() and not real.is_file():
        raise DiskError(f"cannot write {path}: it is not a file")
    with HashingFile(real) as target:
        yield target


def _names(paths: Sequence[str]) -> str:
    """Name a text after its first files."""
    names = ["standard input" if path == "-" else Path(path).name or path for path in paths]
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more or "held-out text"


def _held_out(model: LanguageModel) -> Iterator[Iterator[np.ndarray]]:
    """Give the held-out documents, as a reader of files would."""
    part = read_held_out(model.directory, model.config)
    assert part is not None, "it has been evaluated"
    lengths = part.documents[:-1, 5].tolist()
    for begin, length in zip((part.boundaries[:-1] + 1).tolist(), lengths, strict=True):
        yield iter([part.ids[begin : begin + length].astype(np.int64)])


def _scores(
    predictor: Predictor, tokenizer: Tokenizer, documents: Iterable[Iterable[np.ndarray]]
) -> Iterator[TokenScore | None]:
    """Ask for the whole prediction at each token; None after each document."""
    for chunks in documents:
        state = predictor.start(1)
        prediction, before = predictor.prediction(state), tokenizer.boundary_id
        for token in (int(token) for ids in chunks for token in ids):
            piece = tokenizer.pieces[token]
            if tokenizer.closed and tokenizer.boundary_id not in (before, token):
                piece = b" " + piece  # the closed form's pieces are bare words
            yield _score(piece, token, prediction.log_probs()[0])
            prediction, state = predictor.step(np.array([token]), state)
            before = token
        yield None


def _score(piece: bytes, token: int, log_probs: np.ndarray) -> TokenScore:
    """Score one token by log p of all, (V,)."""
    probabilities = np.exp(log_probs, dtype=np.float64)
    surprise = np.where(probabilities > 0, -log_probs, 0.0)
    return TokenScore(
        piece,
        nats=-float(log_probs[token]),
        entropy=float(probabilities @ surprise),
        rank=1 + int((log_probs > log_probs[token]).sum()),
        confidence=min(float(probabilities.max()), 1.0),
    )
