"""Counting what a text is made of: characters, pre-tokens, white-space pieces.

Memory is bounded whatever the text: counters are thinned out past `MAX_ENTRIES`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np

from charlm.text.alphabets import CODE_POINTS, code_points
from charlm.text.pretokens import (
    complete_chunks,
    complete_pretokens,
    complete_words,
    find_pretokens,
)
from charlm.text.tasks import ChunkCounting, Counted, WordCounting
from charlm.text.workers import Workers

MAX_ENTRIES = 1_000_000  # distinct words counted at a time
MAX_CHUNKS = 250_000  # distinct chunks counted at a time
MAX_CHUNK = 64  # characters of a chunk that is counted as a whole
BATCH = 1 << 16  # characters that are counted at once, where the text comes in small pieces


def count_characters(texts: Iterable[str]) -> Counter[str]:
    """Count every character."""
    counts = np.zeros(CODE_POINTS, dtype=np.int64)
    for text in _batches(texts):
        found = np.bincount(code_points(text))
        counts[: len(found)] += found
    return Counter({chr(point): int(counts[point]) for point in np.flatnonzero(counts)})


def count_pretokens(texts: Iterable[str]) -> Counter[str]:
    """Count pre-tokens; past `MAX_ENTRIES` the rarest are dropped."""
    counter = _PretokenCounter()
    with Workers(ChunkCounting()) as workers:
        for pretokens, counted in workers.work(_whole_chunks(texts, counter.room)):
            counter.add(counted, pretokens)
    return counter.total()


def count_whole_words(texts: Iterable[str]) -> Counter[str]:
    """Count white-space pieces and line feeds; past `MAX_ENTRIES` the rarest are dropped.

    A piece too long for any vocabulary counts as unknown.
    """
    counts: Counter[str] = Counter()
    with Workers(WordCounting()) as workers:
        for lines, counted in workers.work(_whole_words(texts)):
            counts.update(counted.counts)
            counts = _thinned(counts)
            if lines:
                counts["\n"] += lines
                counts = _thinned(counts)
    return counts


class _PretokenCounter:
    """Counts chunks, which is quicker, and turns them into pre-tokens when it must.

    `_pretokens` has an entry for every pre-token met so far: how many there are is always known,
    and so they are thinned out as if they had been counted one by one.
    """

    def __init__(self) -> None:
        self._pretokens: Counter[str] = Counter()
        self._chunks: Counter[str] = Counter()

    def add(self, chunks: Counted, pretokens: list[str]) -> None:
        """Count the chunks of a text and the pre-tokens after it."""
        self._pretokens.update(find_pretokens(chunks.first))
        self._pretokens.update(pretokens)
        before = len(self._chunks)
        self._chunks.update(chunks.counts)
        self._enter(len(self._chunks) - before)
        if len(self._pretokens) > MAX_ENTRIES:
            self._pretokens = _thinned(self.total())
        elif len(self._chunks) > MAX_CHUNKS:
            self.total()

    def room(self) -> int:
        """Tell how many new pre-tokens there may be before they are thinned out."""
        return MAX_ENTRIES - len(self._pretokens)

    def total(self) -> Counter[str]:
        """Give the pre-tokens counted so far."""
        counts = self._pretokens
        for chunk, count in self._chunks.items():
            for pretoken in find_pretokens(" " + chunk):
                counts[pretoken] += count
        self._chunks.clear()
        return counts

    def _enter(self, new: int) -> None:
        """Give the pre-tokens of the newest chunks their entries; long chunks are not kept."""
        for chunk in list(islice(reversed(self._chunks), new)):
            times = self._chunks.pop(chunk) if len(chunk) > MAX_CHUNK else 0
            for pretoken in find_pretokens(" " + chunk):
                self._pretokens[pretoken] += times


def _batches(texts: Iterable[str], room: Callable[[], int] = lambda: MAX_ENTRIES) -> Iterator[str]:
    """Join small texts to larger ones, which are counted in fewer steps.

    Not while the room for what is counted may run out: then it matters when. Nor after a large
    text, which others may still be counting.
    """
    held: list[str] = []
    size, large = 0, False
    for text in texts:
        large = large or len(text) >= BATCH
        if large or size + len(text) > BATCH or room() < 2 * BATCH:
            if held:
                yield "".join(held)
            held, size = [], 0
        held.append(text)
        size += len(text)
    yield "".join(held)


def _whole_chunks(texts: Iterable[str], room: Callable[[], int]) -> Iterator[tuple[list[str], str]]:
    """Cut a text into parts of whole chunks, each with the pre-tokens that follow it."""
    rest = ""
    for text in _batches(texts, room):
        whole, rest = complete_chunks(rest + text)
        found, rest = complete_pretokens(rest)
        yield found, whole
    yield find_pretokens(rest), ""


def _whole_words(texts: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Cut a text into parts of whole words, each with its number of line feeds."""
    rest = ""
    for text in texts:
        part, rest = complete_words(rest + text)
        yield part.count("\n"), part
    yield 0, rest


def _thinned(counts: Counter[str]) -> Counter[str]:
    """Drop the rarest until no more than `MAX_ENTRIES` are left."""
    threshold = 1
    while len(counts) > MAX_ENTRIES:
        counts = Counter({item: n for item, n in counts.items() if n > threshold})
        threshold += 1
    return counts
