"""A closer look at an evaluation: rows, accuracy, keystrokes, a page of surprise, curves as PNG.

All but the sums need the whole prediction at each token, and so a second reading. Imports no torch.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm.evaluation.accuracy import Accuracy, AccuracyCounter
from charlm.evaluation.calibration import Calibration, CalibrationCounter
from charlm.evaluation.curve import LearningCurve, read_learning_curve
from charlm.evaluation.keystrokes import Keystrokes
from charlm.evaluation.metrics import Evaluation
from charlm.evaluation.page import page
from charlm.evaluation.plots import evaluation_plot, require_matplotlib
from charlm.evaluation.rows import By, Row, rows_as_they_pass
from charlm.evaluation.tokens import TokenScore, token_scores
from charlm.language.combination import NETWORK, check_name
from charlm.language.evaluating import documents_of
from charlm.language.handle import LanguageModel
from charlm.language.keystrokes import keystrokes
from charlm.options import check
from charlm.storage import HashingFile, result_file
from charlm.text.finding import open_corpus, standard_input
from charlm.text.sources import ReadOptions

NAMED = 3  # files of a text, in its title


@dataclass(frozen=True)
class Wanted:
    """What is looked at. A file that is there is replaced; its name must be that of a picture.

    html, plot: files to write
    by:         rows of tokens, lines or documents
    accuracy:   how often the first guesses came
    keystrokes: words that are typed with suggestions, or None

    Raises UsageError for another name of a file: `--html book.txt` would replace the book.
    """

    html: str | Path | None = None
    plot: str | Path | None = None
    by: By | None = None
    accuracy: bool = False
    keystrokes: int | None = None

    def __post_init__(self) -> None:
        for path, endings in ((self.html, (".html", ".htm")), (self.plot, (".png",))):
            check(
                path is None or Path(path).suffix.lower() in endings,
                f"the name of the file to write must end in {endings[0]}, not {path}",
            )
        words = self.keystrokes
        check(words is None or words >= 1, f"--keystrokes must be 1 or more, not {words}")
        if self.plot is not None:
            require_matplotlib()

    @property
    def predictions(self) -> bool:
        """Tell whether the whole prediction at each token is needed."""
        return bool(self.html or self.plot or self.by or self.accuracy)


@dataclass(frozen=True)
class Examined:
    """An evaluation, and what a closer look at it found."""

    evaluation: Evaluation
    accuracy: Accuracy | None = None
    keystrokes: Keystrokes | None = None
    suggested: Calibration | None = None

    def to_json(self) -> dict[str, Any]:
        """Give all of it as plain data."""
        values = self.evaluation.to_json()
        if self.accuracy is not None:
            values |= self.accuracy.to_json()
        if self.keystrokes is not None:
            values |= {"keystrokes_saved": self.keystrokes.saved}
            values |= {"words_typed": self.keystrokes.words}
        if self.suggested is not None:
            values |= {"suggestions": self.suggested.to_json()}
        return values


def examine(
    model: LanguageModel,
    paths: Sequence[str],
    wanted: Wanted,
    *,
    predictor: str = NETWORK,
    encoding: str = "utf-8",
    strict: bool = False,
    text_column: str = "text",
    tell: Callable[[str], None] = lambda line: None,
    emit: Callable[[Row], object] = lambda row: None,
    typed: Callable[[int], object] = lambda total: None,
) -> Examined:
    """Evaluate files, or without any the held-out text, and look closer.

    predictor: whose scores come first, and whose predictions are looked at
    emit:      is given each row of `wanted.by`
    typed:     is told after each word that is typed how many there are

    Raises DiskError where a picture cannot be written; then none of that name is there, or the
    old one.
    """
    curve = None if wanted.plot is None else read_learning_curve(model.directory, tell)
    with ExitStack() as files:
        targets = [
            None if path is None else files.enter_context(result_file(path))
            for path in (wanted.html, wanted.plot)
        ]
        if paths:
            raw = model.tokenizer.kind == "byte"
            options = ReadOptions(encoding, strict, raw=raw, text_column=text_column)
            corpus = files.enter_context(open_corpus(paths, options, standard_input()))
            evaluation = model.evaluate_corpus(corpus, predictor, tell)
        else:
            corpus, evaluation = None, model.evaluate(predictor=predictor, tell=tell)
        name, parts = check_name(predictor, model.combination), model.parts
        accuracy, keys, suggested = None, None, None
        if wanted.predictions:
            counter = AccuracyCounter()
            asked = parts.predictor(name, parts.reader)
            scores = token_scores(asked, model.tokenizer, documents_of(model, corpus))
            scores = counter.watch(scores)
            if wanted.by is not None:
                scores = rows_as_they_pass(wanted.by, scores, model.tokenizer.lossless, emit)
            _draw(
                scores, evaluation, (_names(paths), model.directory.resolve().name), curve, targets
            )
            accuracy = counter.result if wanted.accuracy else None
        if wanted.keystrokes is not None:
            asked = parts.predictor(name, parts.network)
            documents = documents_of(model, corpus)
            keys, suggested = keystrokes(
                asked, model.tokenizer, documents, wanted.keystrokes, typed
            )
    return Examined(evaluation, accuracy, keys, suggested)


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
    passing = scores if plot is None else counter.watch(scores)
    if html is not None:
        for piece in page(passing, evaluation, model, text):
            html.write(piece)
    deque(passing, maxlen=0)  # what a page had no room for
    if plot is not None:
        title = f"{text}, as read by {model} ({evaluation.predictor})"
        plot.write(evaluation_plot(counter.result, curve, title))


def _names(paths: Sequence[str]) -> str:
    """Name a text after its first files."""
    names = ["standard input" if path == "-" else Path(path).name or path for path in paths]
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more or "held-out text"
