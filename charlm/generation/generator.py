"""Writing on: one token at a time, in constant memory, one or many samples side by side."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from charlm.errors import UsageError
from charlm.generation.batching import WritingBatch
from charlm.generation.copies import CopyGuard
from charlm.generation.options import SamplingOptions
from charlm.generation.text_index import TextIndex
from charlm.generation.writing import GuardMaker, Sample, Writing
from charlm.predict.predictor import Predictor, State
from charlm.text.tokenizers import Tokenizer


class Generator:
    """Continues a prompt with any Predictor, in samples that all begin together.

    Sample i is the same whatever the number of samples: its noise comes from (seed, i) alone.
    Without a seed every run is another. Raises UsageError for numbers that make no sense.

    index: that of the training text, which `options.max_copy` needs
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
    ) -> None:
        if max_tokens < 0:
            raise UsageError(f"--max-tokens must be 0 or more, not {max_tokens}")
        if seed is not None and seed < 0:
            raise UsageError(f"--seed must be 0 or more, not {seed}")
        if any(stop == "" for stop in stops):
            raise UsageError("a stop string cannot be empty")
        self._predictor = predictor
        self._prompt_ids = tokenizer.encode(prompt)
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
                guards=guards_of(options, index),
            )
            for number in range(count)
        ]

    def pieces(self) -> Iterator[tuple[int, str]]:
        """Write; give (number of the sample, next piece of its text) as they come."""
        batch = WritingBatch(self._predictor)
        batch.admit(self._writings, self._read_prompt())
        while len(batch):
            for written in batch.step():
                yield written.writing.number, written.piece

    def samples(self) -> list[Sample]:
        """Write everything; give the finished samples."""
        for _ in self.pieces():
            pass
        return [writing.sample() for writing in self._writings]

    def _read_prompt(self) -> State:
        state = self._predictor.start(1)
        if len(self._prompt_ids):
            _, state = self._predictor.score(self._prompt_ids[None, :], state)
        return self._predictor.select(state, [0] * len(self._writings))


def guards_of(options: SamplingOptions, index: TextIndex | None) -> list[GuardMaker]:
    """Give the guards that options ask for.

    index: that of the training text, which `options.max_copy` needs
    """
    if options.max_copy is None:
        return []
    assert index is not None
    return [partial(CopyGuard, index, options.max_copy)]


def fresh_seed() -> int:
    """Give a seed that no run had."""
    return int(np.random.SeedSequence().generate_state(1)[0])
