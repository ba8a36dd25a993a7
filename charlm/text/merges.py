"""Learning byte pairs (Sennrich et al. 2016): of much text in a process of its own.

The library's trainer takes hundreds of megabytes, and seconds in which Python sees no signal. A
process can be ended at any time, and its memory goes with it.
"""

import json
from collections.abc import Iterator
from typing import Self

import tokenizers
from tokenizers import models, trainers

from charlm.text.symbols import BYTE_TO_CHARACTER
from charlm.text.tasks import Task
from charlm.text.vocabularies import bpe_pre_tokenizer
from charlm.text.workers import do_elsewhere

LARGE = 2_000_000  # characters from which starting a process is worth it
MAX_SIZE = 1_000_000  # symbols that the trainer makes room for; few texts have as many pairs
GROUP = 1_000  # texts handed to the trainer at once; it asks for 256 groups at a time

Merges = list[tuple[str, str]]


def learn_merges(sample: list[str], vocab_size: int) -> Merges:
    """Learn which symbols are merged, in their order; no pair reaches over the end of a text.

    The list is emptied on the way, to free its memory.
    """
    task, lengths = MergeLearning(vocab_size), " ".join(str(len(text)) for text in sample)
    text = "".join([lengths, "\n", *sample])
    sample.clear()
    if len(text) < LARGE:
        return task.run(text)
    return do_elsewhere(task, text)


class MergeLearning(Task[Merges]):
    """Learning merges from several texts in one, which begins with a line of their lengths."""

    def __init__(self, vocab_size: int) -> None:
        self._vocab_size = vocab_size

    def run(self, text: str) -> Merges:
        """Train on the texts."""
        trainer = trainers.BpeTrainer(
            vocab_size=min(self._vocab_size, MAX_SIZE) - 1,
            min_frequency=2,
            show_progress=False,
            special_tokens=[],
            initial_alphabet=BYTE_TO_CHARACTER,
        )
        library = tokenizers.Tokenizer(models.BPE())
        library.pre_tokenizer = bpe_pre_tokenizer()
        library.train_from_iterator(_handed_over(text), trainer)
        merges = json.loads(library.to_str())["model"]["merges"]
        return [(left, right) for left, right in merges]

    def pack(self, result: Merges) -> bytes:
        """Give a JSON list."""
        return json.dumps(result).encode()

    def unpack(self, data: bytes) -> Merges:
        """Read it back."""
        return [(left, right) for left, right in json.loads(data)]

    def setup(self) -> bytes:
        """Give the size."""
        return str(self._vocab_size).encode()

    @classmethod
    def made_of(cls, setup: bytes) -> Self:
        """Read the size."""
        return cls(int(setup))


def _handed_over(text: str) -> Iterator[list[str]]:
    """Give texts in large groups; the trainer makes its own copies, and none is kept here."""
    start = text.index("\n") + 1
    group: list[str] = []
    for length in map(int, text[:start].split()):
        group.append(text[start : start + length])
        start += length
        if len(group) == GROUP:
            yield group
            group = []
    yield group
