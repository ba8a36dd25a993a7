"""Counting what a text is made of: characters, pre-tokens, white-space pieces.

Memory is bounded whatever the text: counters are thinned out past `MAX_ENTRIES`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np

from charlm.text.alphabets import CODE_POINTS
from charlm.text.pretokens import (
    MAX_WORD,
    complete_chunks,
    complete_pretokens,
    complete_words,
    find_chunks,
    find_pretokens,
)
from charlm.text.symbols import UNKNOWN

MAX_ENTRIES = 1_000_000  # distinct words counted at a time
MAX_CHUNKS = 250_000  # distinct chunks counted at a time
MAX_CHUNK = 64  # characters of a chunk that is counted as a whole
BATCH = 1 << 16  # characters that are counted at once, where the text comes in small pieces


def count_characters(texts: Iterable[str]) -> Counter[str]:
    """Count every character."""
    counts = np.zeros(CODE_POINTS, dtype=np.int64)
    for text in _batches(texts):
        if text.isascii():
            points = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
        else:
            points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        found = np.bincount(points)
        counts[: len(found)] += found
    return Counter({chr(point): int(counts[point]) for point in np.flatnonzero(counts)})


def count_pretokens(texts: Iterable[str]) -> Counter[str]:
    """Count pre-tokens; past `MAX_ENTRIES` the rarest are dropped."""
    counter = _PretokenCounter()
    rest = ""
    for text in _batches(texts, counter.room):
        whole, rest = complete_chunks(rest + text)
        found, rest = complete_pretokens(rest)
        counter.add(whole, found)
    counter.add("", find_pretokens(rest))
    return counter.total()


def count_whole_words(texts: Iterable[str]) -> Counter[str]:
    """Count white-space pieces and line feeds; past `MAX_ENTRIES` the rarest are dropped.

    A piece too long for any vocabulary counts as unknown.
    """
    counts: Counter[str] = Counter()
    rest = ""
    for text in texts:
        part, rest = complete_words(rest + text)
        counts.update(_known_words(part))
        counts = _thinned(counts)
        if lines := part.count("\n"):
            counts["\n"] += lines
            counts = _thinned(counts)
    counts.update(_known_words(rest))
    return _thinned(counts)


class _PretokenCounter:
    """Counts chunks, which is quicker, and turns them into pre-tokens when it must.

    `_pretokens` has an entry for every pre-token met so far: how many there are is always known,
    and so they are thinned out as if they had been counted one by one.
    """

    def __init__(self) -> None:
        self._pretokens: Counter[str] = Counter()
        self._chunks: Counter[str] = Counter()

    def add(self, text: str, pretokens: list[str]) -> None:
        """Count a text of whole chunks and the pre-tokens after it."""
        self._pretokens.update(pretokens)
        first, *others = find_chunks(text)
        self._pretokens.update(find_pretokens(first))
        before = len(self._chunks)
        self._chunks.update(others)
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

    Not while the room for what is counted may run out: then it matters when.
    """
    held: list[str] = []
    size = 0
    for text in texts:
        if size + len(text) > BATCH or room() < 2 * BATCH:
            if held:
                yield "".join(held)
            held, size = [], 0
        held.append(text)
        size += len(text)
    yield "".join(held)


def _known_words(text: str) -> list[str]:
    words = text.split()
    if max(map(len, words), default=0) <= MAX_WORD:
        return words
    return [word if len(word) <= MAX_WORD else UNKNOWN for word in words]


def _thinned(counts: Counter[str]) -> Counter[str]:
    """Drop the rarest until no more than `MAX_ENTRIES` are left."""
    threshold = 1
    while len(counts) > MAX_ENTRIES:
        counts = Counter({item: n for item, n in counts.items() if n > threshold})
        threshold += 1
    return counts
