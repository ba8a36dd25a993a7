"""The language model that people hold: generate, suggest, evaluate, score. Imports no torch.

Generating and suggesting on a CPU never need PyTorch; evaluating loads it, for its speed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from charlm.errors import UsageError
from charlm.evaluation.lines import score_each
from charlm.evaluation.metrics import Evaluation, LineScore
from charlm.evaluation.scoring import FOREVER, score_stream
from charlm.generation.copies import Copy, longest_copy
from charlm.generation.generator import Generator
from charlm.generation.lexicon import Lexicon
from charlm.generation.session import Session
from charlm.generation.suggest import Suggestion, Suggestions
from charlm.generation.text_index import TextIndex
from charlm.generation.writing import Sample
from charlm.language.combination import ADAPT, BEST, NETWORK, Combination, check_name
from charlm.language.directory import ModelFiles, model_path, read_held_out, read_model
from charlm.language.evaluating import Evaluator, open_texts
from charlm.language.generating import by_own_names, check_single, generator_keywords, read_defaults
from charlm.language.memory import Memory, read_corpus
from charlm.language.parts import Parts
from charlm.options import check_count
from charlm.predict.ngram import NgramPredictor
from charlm.predict.predictor import Network, Predictor, compile_all
from charlm.text.finding import paths_of
from charlm.text.sources import Corpus, ReadOptions
from charlm.text.tokenizers import Tokenizer


class LanguageModel:
    """A trained model: what `charlm.train` gives and `charlm.load` opens."""

    def __init__(
        self,
        files: ModelFiles,
        device: str = "auto",
        threads: int | None = None,
        predictor: str = BEST,
        state: str | Path | Memory | None = None,
    ) -> None:
        self.parts = Parts(files, device, threads, state)
        self.directory, self.config = files.directory, files.config
        self.tokenizer: Tokenizer = files.tokenizer
        self._asked = predictor
        self.name = check_name(predictor, self.parts.combination)

    @property
    def network(self) -> Network:
        """The network alone: on a CPU in NumPy, where it starts at once."""
        return self.parts.network

    @property
    def combination(self) -> Combination | None:
        """How network, counts and cache are mixed; None for a model without counts."""
        return self.parts.combination

    @cached_property
    def predictor(self) -> Predictor:
        """What says what comes next, in `generate` and `suggest`: the combination that is best."""
        return self.parts.predictor(self.name, self.parts.network)

    @cached_property
    def generation_defaults(self) -> dict[str, Any]:
        """The options of `generate` that count where none are given: generation_config.json."""
        return read_defaults(self.directory)

    def equip(self, counts: NgramPredictor | None, combination: Combination | None) -> None:
        """Give the model, while it is made, counts and shares that are not in its directory yet."""
        self.parts.combination = combination
        if counts is not None:
            self.parts.counts = counts
        self.name = check_name(self._asked, combination)

    def compile(self) -> None:
        """Compile what it works by now, where numba is (the extra `fast`); nothing else changes.

        It takes half a second, and the first time on a machine some fifteen.
        """
        compile_all(self.predictor)
        compile_all(self._lexicon)

    def fresh_predictor(self, name: str) -> Predictor:
        """Make the predictor of a name anew, as it was trained, in NumPy alone on the CPU."""
        fresh = Parts(self.parts.files, "cpu", tuned=False)
        return fresh.predictor(name, fresh.runtime(compiled=False))

    def generate(self, prompt: str = "", **options: Any) -> str:  # noqa: ANN401
        """Continue a prompt; the text returned is what follows it.

        Options, by the names of Hugging Face or OpenAI where they have others: max_tokens, stop,
        seed; temperature, top_k, top_p, min_p, typical_p, eta_cutoff, repetition_penalty,
        presence_penalty, frequency_penalty, no_repeat_ngram_size, logit_bias, min_tokens; regex,
        prefix or words, which the text must be of; max_copy, the most characters in a row out of
        the training text; beams and length_penalty, to search. Defaults are the model's own.
        """
        return self.samples(prompt, **check_single(options))[0].text

    def stream(self, prompt: str = "", **options: Any) -> Iterator[str]:  # noqa: ANN401
        """Continue a prompt and give the text piece by piece; options as for `generate`."""
        for _, piece in self._generator(prompt, 1, check_single(options)).pieces():
            if piece:
                yield piece

    def samples(self, prompt: str = "", count: int = 1, **options: Any) -> list[Sample]:  # noqa: ANN401
        """Continue a prompt `count` times; options as for `generate`."""
        options = by_own_names(options)
        return self._generator(prompt, options.pop("count", count), options).samples()

    def copied(self, text: str) -> Copy:
        """Find the longest run of a text that stands verbatim in the training text.

        Raises UsageError where that is not at hand any more: see `find_training_text`.
        """
        return longest_copy(text, self.text_index)

    @cached_property
    def text_index(self) -> TextIndex:
        """The index of the training text, in which copies are found."""
        from charlm.language.training_text import find_index  # else nothing needs it

        return find_index(self.directory, self.config, lambda line: None)

    def find_training_text(
        self,
        corpus: str | Path | Sequence[str | Path] = (),
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Find and index the training text now: where it was prepared for training, or at `corpus`.

        corpus: as it was given to `charlm.train`; what the run held out is left out again. Raises
        UsageError where there is none, CorpusError for another text than the model learned from.
        """
        from charlm.language.training_text import find_index, index_of_corpus

        if paths := paths_of(corpus):
            self.text_index = index_of_corpus(paths, self.config, tell)
        else:
            self.text_index = find_index(self.directory, self.config, tell)

    def suggest(self, text: str, k: int = 5) -> list[Suggestion]:
        """Find the k most probable next words, or completions of the word that `text` ends in."""
        return list(self.suggestions(text, k).suggestions)

    def suggestions(self, text: str, k: int = 5) -> Suggestions:
        """Suggest, and say how much too low the figures may be, and what was not searched."""
        check_count(k, "k")
        return self.session(quick=False).suggest(text, k)

    def session(self, quick: bool = True) -> Session:
        """Begin a session: suggestions for one text while it is typed, in milliseconds each.

        quick: end each search as soon as no other word can be among the k most probable by one
               spelling; else, as `suggest` does, when little is left unexplored

        After `compile` each takes half of the time.
        """
        return Session(self.predictor, self.tokenizer, self._lexicon, quick)

    def score(self, text: str) -> float:
        """Give -log p of a text in nats, by the network, read from the start."""
        network = self.parts.begun(self.parts.network_for([text]))
        return score_stream(network, [self.tokenizer.encode(text)]).nats

    def read(
        self,
        text: str | None = None,
        *,
        path: str | Path | Sequence[str | Path] | None = None,
        options: ReadOptions | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> Memory:
        """Read a text, or files one after the other, and remember it: `load(..., state=memory)`.

        With a predictor that adapts, the weights it came to are remembered too. Raises CorpusError
        where there is no text.
        """
        options = replace(options or ReadOptions(), raw=self.tokenizer.kind == "byte")
        if (text is None) == (path is None):
            raise UsageError("give a text or a path to read, and not both")
        with open_texts(text, path, options) as corpus:
            return read_corpus(self.parts, corpus, self.name.endswith(ADAPT), tell)

    def score_lines(
        self, lines: Sequence[str | bytes], predictor: str = NETWORK
    ) -> list[LineScore]:
        """Score each line on its own, in order; bytes, if the tokenizer is that of bytes.

        Much text is read by PyTorch, and lines side by side; little by the runtime, which is there
        at once.
        """
        network = self.parts.network_for(lines)
        own = self.parts.predictor(check_name(predictor, self.combination), network)
        nats = score_each(own, map(self.tokenizer.encode, lines))
        lossless = self.tokenizer.lossless
        return [LineScore(text, cost, lossless) for text, cost in zip(lines, nats, strict=True)]

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

        predictor: the one whose scores come first: network, counts, network+counts, network+cache,
        network+counts+cache or best, each with +adapt; others' scores are in `by_predictor`.
        """
        if text is not None and path is not None:
            raise UsageError("give a text or a path to evaluate, not both")
        name, raw = check_name(predictor, self.combination), self.tokenizer.kind == "byte"
        options = ReadOptions(encoding, strict, raw=raw, text_column=text_column)
        if text is not None or path is not None:
            with open_texts(text, path, options) as corpus:
                return self.evaluate_corpus(corpus, name, tell)
        part = read_held_out(self.directory, self.config)
        evaluation = None if part is None else self._evaluator(name).held_out(part)
        if evaluation is None:
            raise UsageError(
                f"{self.directory} holds no held-out text: its corpus was too small to cut",
                "pass a FILE to score",
            )
        return evaluation.seen_by(name)

    def evaluate_corpus(
        self, corpus: Corpus, predictor: str, tell: Callable[[str], None]
    ) -> Evaluation:
        """Score a corpus that is open; it can be read again then."""
        name = check_name(predictor, self.combination)
        return self._evaluator(name).corpus(corpus, tell).seen_by(name)

    def evaluate_held_out(self, seconds: float = FOREVER) -> Evaluation | None:
        """Score the text held out from training; None where there is none.

        After `seconds` the rest is left out, and the counts are those of what was scored.
        """
        part = read_held_out(self.directory, self.config)
        return None if part is None else self._evaluator(NETWORK).held_out(part, seconds)

    def compress(self, data: bytes) -> bytes:
        """Compress any bytes, losslessly, by the predictor that the model was loaded with.

        Raises UsageError for the closed word form.
        """
        from charlm.language.compressing import compress

        return compress(self, data)

    def decompress(self, data: bytes) -> bytes:
        """Give back what `compress` made of some bytes, with this model on a machine like this.

        Raises CorpusError for damaged data and for another machine's, ModelError for another
        model's.
        """
        from charlm.language.compressing import decompress

        return decompress(self, data)

    def _evaluator(self, asked: str) -> Evaluator:
        names, scorer = self.parts.side_by_side(asked)
        return Evaluator(self.tokenizer, scorer, names)

    @cached_property
    def _lexicon(self) -> Lexicon | None:
        return None if self.tokenizer.closed else Lexicon(self.tokenizer)

    def _generator(self, prompt: str, count: int, options: Mapping[str, Any]) -> Generator:
        keywords = generator_keywords(options, self.generation_defaults, self.tokenizer.vocab_size)
        if keywords["options"].max_copy is not None:
            keywords["index"] = self.text_index
        check_count(count, "the number of samples")
        return Generator(self.predictor, self.tokenizer, prompt, count=count, **keywords)


def load(
    directory: str | Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    predictor: str = BEST,
    state: str | Path | Memory | None = None,
) -> LanguageModel:
    """Open a model directory; raise ModelError where it is missing, unfinished or damaged.

    predictor: network, counts, network+counts, network+cache, network+counts+cache, or the best of
    them, as training found it; with +adapt the network goes on learning as it reads.
    state: what `LanguageModel.read` gave, or the file it was saved to: everything starts from there
    """
    return LanguageModel(read_model(model_path(directory)), device, threads, predictor, state)
