"""The language model that people hold: generate, suggest, evaluate, score. Imports no torch.

Generating and suggesting on a CPU never need PyTorch; evaluating loads it, for its speed.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from charlm.errors import UsageError
from charlm.evaluation.metrics import Evaluation
from charlm.evaluation.scoring import FOREVER, Score, Scorer, score_documents, score_stream
from charlm.generation.generator import Generator, Sample
from charlm.generation.lexicon import Lexicon
from charlm.generation.options import SamplingOptions
from charlm.generation.suggest import Suggestion, Suggestions, suggest
from charlm.language.combination import (
    BEST,
    COUNTS,
    MIXTURE,
    NETWORK,
    check_name,
    mixture,
    read_combination,
)
from charlm.language.counts import read_counts
from charlm.language.directory import (
    ModelFiles,
    network_config,
    read_held_out,
    read_model,
    read_weights,
)
from charlm.language.reading import DocumentReader
from charlm.options import check, did_you_mean
from charlm.predict.mixture import Apart
from charlm.predict.ngram import NgramPredictor
from charlm.predict.predictor import Predictor
from charlm.predict.runtime import RuntimePredictor
from charlm.text.finding import corpus_from_text, open_corpus, standard_input
from charlm.text.sources import Corpus, ReadOptions
from charlm.text.tokenizers import Tokenizer
from charlm.text.units import Units, count_units

MAX_TOKENS = 200
TEMPERATURE = 0.8


class LanguageModel:
    """A trained model: what `charlm.train` gives and `charlm.load` opens."""

    def __init__(
        self,
        files: ModelFiles,
        device: str = "auto",
        threads: int | None = None,
        predictor: str = BEST,
    ) -> None:
        self._files = files
        self.directory = files.directory
        self.config = files.config
        self.tokenizer: Tokenizer = files.tokenizer
        self._device = device
        self._threads = threads
        self.combination = read_combination(files.config)
        self._name = check_name(predictor, self.combination)

    @cached_property
    def predictor(self) -> Predictor:
        """What says what comes next, in `generate` and `suggest`: the combination that is best."""
        return self._named(self._name, self.network)

    @cached_property
    def network(self) -> Predictor:
        """The network alone: on a CPU the NumPy runtime, elsewhere the torch network."""
        if self._device not in ("auto", "cpu"):
            return self.reader
        shape = network_config(self._files)
        weights = read_weights(self.directory, shape.parameter_shapes())
        return RuntimePredictor(shape, weights, self.tokenizer.boundary_id)

    @cached_property
    def reader(self) -> Predictor:
        """The same network in PyTorch: it reads long texts faster, and can live on a GPU."""
        from charlm.language.network import load_predictor  # loads PyTorch

        return load_predictor(self._files, self._device, self._threads)

    @cached_property
    def counts(self) -> NgramPredictor:
        """The n-grams of the training text; a model without any has no combination either."""
        return read_counts(self.directory, self.tokenizer.vocab_size, self.tokenizer.boundary_id)

    def _named(self, name: str, network: Predictor) -> Predictor:
        if self.combination is None or name == NETWORK:
            return network
        if name == COUNTS:
            return self.counts
        return mixture(network, self.counts, self.combination)

    def generate(self, prompt: str = "", **options: Any) -> str:  # noqa: ANN401
        """Continue a prompt; the text returned is what follows it.

        Options: max_tokens, temperature, top_k, top_p, min_p, repetition_penalty, stop, seed.
        """
        return self.samples(prompt, **options)[0].text

    def stream(self, prompt: str = "", **options: Any) -> Iterator[str]:  # noqa: ANN401
        """Continue a prompt and give the text piece by piece; options as for `generate`."""
        for _, piece in self._generator(prompt, 1, options).pieces():
            if piece:
                yield piece

    def samples(self, prompt: str = "", count: int = 1, **options: Any) -> list[Sample]:  # noqa: ANN401
        """Continue a prompt `count` times; options as for `generate`."""
        return self._generator(prompt, count, options).samples()

    def suggest(self, text: str, k: int = 5) -> list[Suggestion]:
        """Find the k most probable next words, or completions of the word that `text` ends in."""
        return list(self.suggestions(text, k).suggestions)

    def suggestions(self, text: str, k: int = 5) -> Suggestions:
        """Suggest, and say how much probability was not searched."""
        check(k >= 1, f"k must be 1 or more, not {k}")
        lexicon = None if self.tokenizer.closed else self._lexicon
        return suggest(self.predictor, self.tokenizer, text, k, lexicon)

    def score(self, text: str) -> float:
        """Give -log p of a text in nats, by the network, read from the start."""
        return score_stream(self.network, [self.tokenizer.encode(text)]).nats

    def evaluate(
        self,
        text: str | bytes | None = None,
        *,
        path: str | Path | Sequence[str | Path] | None = None,
        encoding: str = "utf-8",
        strict: bool = False,
        text_column: str = "text",
        predictor: str = NETWORK,
        tell: Callable[[str], None] = lambda line: None,
    ) -> Evaluation:
        """Score a text, files, or, without either, the text held out from training.

        predictor: the one whose scores come first: network, counts, network+counts or best; the
        scores of the others are in `by_predictor`.
        """
        name = check_name(predictor, self.combination)
        return self._evaluate(text, path, encoding, strict, text_column, tell).seen_by(name)

    def _evaluate(
        self,
        text: str | bytes | None,
        path: str | Path | Sequence[str | Path] | None,
        encoding: str,
        strict: bool,
        text_column: str,
        tell: Callable[[str], None],
    ) -> Evaluation:
        if text is not None and path is not None:
            raise UsageError("give a text or a path to evaluate, not both")
        options = ReadOptions(
            encoding, strict, raw=self.tokenizer.kind == "byte", text_column=text_column
        )
        if text is not None:
            with corpus_from_text(text, options) as corpus:
                return self._evaluate_corpus(corpus, tell)
        if path is None:
            return self._held_out_or_refuse()
        paths = [path] if isinstance(path, str | Path) else path
        with open_corpus([str(one) for one in paths], options, standard_input()) as corpus:
            return self._evaluate_corpus(corpus, tell)

    def _held_out_or_refuse(self) -> Evaluation:
        evaluation = self.evaluate_held_out()
        if evaluation is None:
            raise UsageError(
                f"{self.directory} holds no held-out text: its corpus was too small to cut",
                "pass a FILE to score",
            )
        return evaluation

    @cached_property
    def _scorer(self) -> Scorer:
        """Read a text with all predictors at once."""
        if self.combination is None:
            return self.reader
        return Apart(mixture(self.reader, self.counts, self.combination))

    @cached_property
    def _lexicon(self) -> Lexicon:
        return Lexicon(self.tokenizer)

    def _generator(self, prompt: str, count: int, options: dict[str, Any]) -> Generator:
        rules: dict[str, Any] = {"temperature": TEMPERATURE}
        own: dict[str, Any] = {"max_tokens": MAX_TOKENS}
        for name, value in options.items():
            if name in SamplingOptions.__dataclass_fields__:
                rules[name] = value
            elif name == "stop":
                own["stops"] = [value] if isinstance(value, str) else list(value or ())
            elif name in ("max_tokens", "seed"):
                own[name] = value
            else:
                known = [*SamplingOptions.__dataclass_fields__, "stop", "max_tokens", "seed"]
                raise UsageError(f"unknown option '{name}'", did_you_mean(name, known))
        check(count >= 1, f"the number of samples must be 1 or more, not {count}")
        sampling = SamplingOptions(**rules)
        return Generator(self.predictor, self.tokenizer, prompt, sampling, count=count, **own)

    def _evaluate_corpus(self, corpus: Corpus, tell: Callable[[str], None]) -> Evaluation:
        """Score each file as one stream, in pieces."""
        reader = DocumentReader(self.tokenizer, corpus.pieces())
        score, documents = Score(), 0
        for chunks in reader.documents():
            score.join(score_stream(self._scorer, chunks))
            documents += 1
        for line in corpus.report().lines():
            tell(line)
        if score.tokens == 0:
            raise corpus.nothing_in_it()
        return self._evaluation(score, documents, reader.units, reader.unknown_tokens)

    def evaluate_held_out(self, seconds: float = FOREVER) -> Evaluation | None:
        """Score the text held out from training; None where there is none.

        After `seconds` the rest is left out, and the counts are those of what was scored.
        """
        part = read_held_out(self.directory, self.config)
        if part is None:
            return None
        starts, lengths = part.boundaries[:-1] + 1, part.documents[:-1, 5]
        texts = (
            part.ids[a : a + n] for a, n in zip(starts.tolist(), lengths.tolist(), strict=True)
        )
        score, counts = score_documents(self._scorer, texts, seconds), part.counts()
        if score.tokens == 0:
            return None
        if score.complete:
            units = Units(counts.bytes, counts.characters, counts.words, counts.lines)
            return self._evaluation(score, counts.documents, units, counts.unknown_tokens)
        text = "".join(self.tokenizer.decode(ids.tolist()) for ids in score.scored)
        unknown = sum(int((ids == self.tokenizer.unknown_id).sum()) for ids in score.scored)
        return self._evaluation(score, len(score.scored), count_units(text), unknown)

    def _evaluation(
        self, score: Score, documents: int, units: Units, unknown_tokens: int
    ) -> Evaluation:
        names = [NETWORK, COUNTS, MIXTURE] if self.combination else [NETWORK]
        return Evaluation(
            documents=documents,
            bytes=units.bytes,
            characters=units.characters,
            words=units.words,
            lines=units.lines,
            tokens=score.tokens,
            unknown_tokens=unknown_tokens,
            nats=score.each[0],
            lossless=self.tokenizer.lossless,
            nats_by_predictor=dict(zip(names, score.each, strict=True)),
        )


def load(
    directory: str | Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    predictor: str = BEST,
) -> LanguageModel:
    """Open a model directory; raise ModelError where it is missing, unfinished or damaged.

    predictor: network, counts, network+counts, or the best of them, as training found it.
    """
    return LanguageModel(read_model(Path(directory)), device, threads, predictor)
