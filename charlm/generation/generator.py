"""Writing on: one token at a time, in constant memory, one or many samples side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from charlm.errors import UsageError
from charlm.generation.batching import WritingBatch
from charlm.generation.beams import BeamSearch
from charlm.generation.constraints import LanguageGuard
from charlm.generation.copies import CopyGuard
from charlm.generation.joints import begun_with, cut_blank
from charlm.generation.languages import (
    Language,
    PatternLanguage,
    PrefixLanguage,
    WordLanguage,
)
from charlm.generation.options import BeamOptions, SamplingOptions
from charlm.generation.text_index import TextIndex
from charlm.generation.writing import EndGuard, GuardMaker, Sample, Writing
from charlm.predict.predictor import Predictor, State
from charlm.text.tokenizers import Tokenizer


class Generator:
    """Continues a prompt with any Predictor, in samples that all begin together.

    Sample i is the same whatever the number of samples: its noise comes from (seed, i) alone.
    Without a seed every run is another. Raises UsageError for numbers that make no sense.

    index: that of the training text, which `options.max_copy` needs
    beams: search for the most probable texts instead of drawing some, where there are any; one
           takes the most probable token each time, as temperature 0 does
    """

    def __init__(
        self,
        predictor: Predictor,
        tokenizer: Tokenizer,
        prompt: str,
        options: SamplingOptions,
        *,
        max_tokens: int = 200,
        stops: Sequence[str] = (),
        seed: int | None = None,
        count: int = 1,
        index: TextIndex | None = None,
        beams: BeamOptions | None = None,
    ) -> None:
        if max_tokens < 0:
            raise UsageError(f"--max-tokens must be 0 or more, not {max_tokens}")
        if seed is not None and seed < 0:
            raise UsageError(f"--seed must be 0 or more, not {seed}")
        if any(stop == "" for stop in stops):
            raise UsageError("a stop string cannot be empty")
        self._predictor = predictor
        language, begun = language_of(options, prompt), ""
        if language is not None:
            prompt, begun = cut_blank(tokenizer, prompt)
            language = begun_with(begun, language)
        self._begun, self._prompt_ids = begun, tokenizer.encode(prompt)
        self._search: BeamSearch | None = None
        if beams is not None and beams.beams:
            _check_search(beams, options, count)
            options = options.greedy
        if beams is not None and beams.beams > 1:
            self._search = BeamSearch(predictor, tokenizer, beams, max_tokens, stops, language)
        self._count = count
        seed = fresh_seed() if seed is None else seed
        self._writings = [
            Writing(
                tokenizer,
                options,
                max_tokens=max_tokens,
                seed=seed,
                number=number,
                prompt_ids=self._prompt_ids,
                stops=stops,
                guards=guards_of(options, language, index, tokenizer),
                begun=len(begun),
            )
            for number in range(count)
        ]

    def pieces(self) -> Iterator[tuple[int, str]]:
        """Write; give (number of the sample, next piece of its text) as they come."""
        if self._search is not None:
            for number, sample in enumerate(self.samples()):
                yield number, sample.text
            return
        batch = WritingBatch(self._predictor)
        batch.admit(self._writings, self._read_prompt(len(self._writings)))
        while len(batch):
            for written in batch.step():
                yield written.writing.number, written.piece

    def samples(self) -> list[Sample]:
        """Write everything; give the finished samples."""
        if self._search is not None:
            found = self._search.run(self._prompt_ids, self._read_prompt(1), self._count)
            return [replace(each, text=each.text.removeprefix(self._begun)) for each in found]
        for _ in self.pieces():
            pass
        return [writing.sample() for writing in self._writings]

    def _read_prompt(self, streams: int) -> State:
        state = self._predictor.start(1)
        if len(self._prompt_ids):
            _, state = self._predictor.score(self._prompt_ids[None, :], state)
        return self._predictor.select(state, [0] * streams)


def _check_search(beams: BeamOptions, options: SamplingOptions, count: int) -> None:
    if options.max_copy is not None:
        raise UsageError("--max-copy is for texts that are drawn, not for --beams")
    if count > beams.beams:
        raise UsageError(f"{beams.beams} beams give no {count} samples")


def guards_of(
    options: SamplingOptions,
    language: Language | None,
    index: TextIndex | None,
    tokenizer: Tokenizer,
) -> list[GuardMaker]:
    """Give the guards that options ask for.

    language: that a text must be of, as `language_of` gives it; None where it may be any
    index:    that of the training text, which `options.max_copy` needs
    """
    guards: list[GuardMaker] = []
    if language is not None:
        boundary = None if tokenizer.closed else tokenizer.boundary_id
        guards.append(partial(LanguageGuard, language, boundary))
    if options.min_tokens and not tokenizer.closed:
        guards.append(partial(EndGuard, tokenizer.boundary_id, options.min_tokens))
    if options.max_copy is not None:
        assert index is not None
        guards.append(partial(CopyGuard, index, options.max_copy))
    return guards


def language_of(options: SamplingOptions, prompt: str) -> Language | None:
    """Give the language that a text after a prompt must be of; None where it may be any."""
    if options.regex is not None:
        return PatternLanguage(options.regex)
    if options.words is not None:
        return WordLanguage(options.words, spaced=not prompt[-1:].isspace())
    return None if options.prefix is None else PrefixLanguage(options.prefix)


def fresh_seed() -> int:
    """Give a seed that no run had."""
    return int(np.random.SeedSequence().generate_state(1)[0])
