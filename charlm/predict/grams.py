"""The n-grams of a text, length by length: which there are and how often, in bounded memory.

An n-gram of n + 1 ids is one of n and an id after it. For each place at which an n-gram begins, its
number is kept; those one longer are found range by range of the numbers, so that what is sorted at
a time, and what is not worth keeping, never exists as a whole. Where the n-grams are more than
there is room for, those seen once are left out, of the longest first, as KenLM's --prune does.
Legend: L length of the text, V vocabulary, n length of n-grams, M n-grams of a length.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from charlm.text.memory import return_freed_memory

SORTED = 1 << 20  # places that are sorted at a time
CELLS = 1 << 19  # keys that are counted at a time in a table of all keys
PIECE = 1 << 20  # places that are looked at at a time
ENDED = np.int32(-(1 << 31))  # in place of a number: the document ends before the n-gram would
ONCE = np.int32((1 << 31) - 1)  # in place of a number: left out, seen once


@dataclass
class Level:
    """The n-grams of one length in a text.

    keys:  (M,) int64, sorted: number of the first n - 1 ids · V + the last id
    raw:   (M,) int32, how often each stands in the text
    total: how many stand in the text, each time counted
    ended: numbers of n-grams after which a document ends, and how often one does
    whole: whether n-grams seen once are among them
    """

    keys: np.ndarray
    raw: np.ndarray
    total: int
    ended: tuple[np.ndarray, np.ndarray]
    whole: bool = True

    def __len__(self) -> int:
        """Give how many there are, M."""
        return len(self.keys)


class Grams:
    """Collects the n-grams of a text, one id longer with each call of `lengthen`.

    ids: (L,), documents with a boundary before each and one after the last
    boundaries: (D + 1,) their positions; no n-gram reaches over one
    most: n-grams that may be kept in all
    release: gives the memory of ids that were read back, where they are mapped from a file
    """

    def __init__(
        self,
        ids: np.ndarray,
        boundaries: np.ndarray,
        vocab_size: int,
        most: int,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        assert boundaries[0] == 0 and boundaries[-1] == len(ids) - 1 < ONCE
        self._ids, self._boundaries, self._size, self._most = ids, boundaries, vocab_size, most
        self._release = release
        self._numbers = np.empty(len(ids), dtype=np.int32)  # of what begins at each place
        raw = np.zeros(vocab_size, dtype=np.int32)
        for part in self._all():
            self._numbers[part] = ids[part]
            raw += np.bincount(ids[part], minlength=vocab_size).astype(np.int32)
        raw[ids[0]] -= 1  # is read but not predicted
        # the last id ends the text; the first has something after it, though it is no target
        ends = np.array([ids[-1], ids[0]]), np.array([1, -1])
        self.levels = [Level(np.arange(vocab_size), raw, len(ids) - 1, ends)]
        self._numbers[-1] = ENDED

    def lengthen(self) -> bool:
        """Collect the n-grams longer by one id; tell whether there are any, and room for them."""
        length = len(self.levels)
        if length > 1:
            self.levels[-1].ended = self._end(length)
        total = sum(int(np.count_nonzero(self._numbers[p] != ENDED)) for p in self._all())
        # memory that is never written to costs nothing; a range may go beyond what may stay
        room = min(self._most + max(SORTED, CELLS, self._size) + 1, total)
        keys, raw = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int32)
        nothing = np.zeros(0, dtype=np.int64)
        growing = Level(keys[:0], raw[:0], total, (nothing, nothing), self.levels[-1].whole)
        self.levels.append(growing)
        first = 0
        while first < len(self.levels[-2]):
            end, dense = self._range(first)
            found = self._counted(first, end) if dense else self._sorted(first, end)
            held, first = len(growing), end
            made = held + len(found[0])
            keys[held:made], raw[held:made] = found
            growing.keys, growing.raw = keys[:made], raw[:made]
            while sum(map(len, self.levels)) > self._most:
                if not any(level.whole for level in self.levels[1:]):
                    self.levels.pop()
                    return False
                first = self._make_room(first)
        if not len(growing):
            self.levels.pop()
            return False
        if not growing.whole:  # what was left out has been written to
            growing.keys, growing.raw = growing.keys.copy(), growing.raw.copy()
        for part in self._all():
            here = self._numbers[part]
            np.copyto(here, ~here, where=(here < 0) & (here != ENDED))
        return True

    def _all(self) -> Iterator[slice]:
        """Go through the text piece by piece."""
        for part in _pieces(len(self._numbers)):
            yield part
            self._release()

    def _end(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Mark where n-grams end a document, and nothing longer begins; count which they are."""
        numbers, places = [], self._boundaries
        for part in _pieces(len(places)):
            at = np.asarray(places[part], dtype=np.int64) - (length - 1)
            at = at[at >= 0]
            numbers.append(self._numbers[at])
            self._numbers[at] = ENDED
        every = np.concatenate(numbers)
        ended, times = np.unique(every[(every >= 0) & (every != ONCE)], return_counts=True)
        return ended, times

    def _range(self, first: int) -> tuple[int, bool]:
        """Choose how many contexts to look at next, and whether a table of all keys counts them."""
        following = self.levels[-2].raw[first : first + SORTED]
        places = np.cumsum(following, dtype=np.int64)
        few = int(np.searchsorted(places, SORTED, side="right"))
        cells = min(max(CELLS // self._size, 1), len(following))
        return first + max(few, cells), few < cells

    def _places(self, first: int, end: int) -> Iterator[np.ndarray]:
        """Give the places at which n-grams of some numbers begin, piece by piece."""
        for part in self._all():
            offsets = (self._numbers[part] - np.int32(first)).view(np.uint32)
            yield np.flatnonzero(offsets < end - first) + part.start

    def _keys(self, places: np.ndarray, first: int) -> np.ndarray:
        """Give the keys of what begins there, one id longer, beyond those of the first number."""
        keys: np.ndarray = (self._numbers[places] - np.int32(first)).astype(np.int64)
        keys *= self._size
        keys += self._ids[places + (len(self.levels) - 1)]
        return keys

    def _sorted(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the n-grams that go on from some numbers by sorting; give keys and raw counts."""
        pieces = [(at.astype(np.int32), self._keys(at, first)) for at in self._places(first, end)]
        places = np.concatenate([at for at, _ in pieces])
        both = np.concatenate([keys for _, keys in pieces]).view(np.uint64)
        del pieces
        if not len(places):
            return places.astype(np.int64), places
        # sorted as one number each: an order beside the keys would take as much memory again
        bits = len(places).bit_length()
        assert int(both.max()) < 1 << (64 - bits), "too many n-grams of too many ids"
        both <<= np.uint64(bits)
        both |= np.arange(len(places), dtype=np.uint64)
        both.sort()
        order = (both & np.uint64((1 << bits) - 1)).astype(np.int32)
        both >>= np.uint64(bits)
        begins = np.concatenate([[True], both[1:] != both[:-1]])
        starts = np.flatnonzero(begins)
        raw = np.diff(starts, append=len(both)).astype(np.int32)
        kept, numbers = self._numbered(raw)
        values = np.empty(len(places), dtype=np.int32)
        values[order] = numbers[np.cumsum(begins, dtype=np.int32) - 1]
        self._numbers[places] = values
        return both[starts[kept]].astype(np.int64) + first * self._size, raw[kept]

    def _counted(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the same by a table of all keys: for contexts that come often."""
        table = np.zeros((end - first) * self._size, dtype=np.int32)
        for places in self._places(first, end):
            keys = self._keys(places, first)
            table += np.bincount(keys, minlength=len(table)).astype(np.int32)
        there = np.flatnonzero(table)
        raw = table[there]
        kept, numbers = self._numbered(raw)
        table[there] = numbers
        for places in self._places(first, end):
            self._numbers[places] = table[self._keys(places, first)]
        return there[kept] + first * self._size, raw[kept]

    def _numbered(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Choose which to keep; give what stands for each of them until all are found, ~number."""
        kept = np.full(len(raw), True) if self.levels[-1].whole else raw > 1
        numbers = ~(np.cumsum(kept, dtype=np.int32) - 1 + np.int32(len(self.levels[-1])))
        return kept, np.where(kept, numbers, ONCE)

    def _make_room(self, first: int) -> int:
        """Leave n-grams seen once out, of the longest that have any.

        first: the number up to which the contexts have been looked at; gives it as it is now
        """
        if len(self._numbers) > PIECE:
            return_freed_memory()  # that of sorting
        index = max(i for i, level in enumerate(self.levels) if level.whole)
        level, growing = self.levels[index], len(self.levels) - 1
        kept = level.raw > 1
        moved = np.cumsum(kept, dtype=np.int32)
        moved -= 1
        moved[~kept] = ONCE
        if index == growing:  # in the same memory, where more are to come
            count = int(np.count_nonzero(kept))
            level.keys[:count], level.raw[:count] = level.keys[kept], level.raw[kept]
            level.keys, level.raw, level.whole = level.keys[:count], level.raw[:count], False
            self._renumber(moved, found=True)
            return first
        level.keys, level.raw, level.whole = level.keys[kept], level.raw[kept], False
        numbers, counts = level.ended
        stays = kept[numbers]
        level.ended = moved[numbers[stays]], counts[stays]
        _renumber_contexts(self.levels[index + 1].keys, moved, self._size)
        if index + 1 < growing:
            return first
        self._renumber(moved, found=False)
        return int(np.count_nonzero(kept[:first]))

    def _renumber(self, moved: np.ndarray, found: bool) -> None:
        """Give the places their n-grams' new numbers; `found`: of those found in this round."""
        for part in self._all():
            here = self._numbers[part]
            if found:
                at = np.flatnonzero((here < 0) & (here != ENDED))
                new = moved[~here[at]]
                here[at] = np.where(new == ONCE, ONCE, ~new)
            else:
                at = np.flatnonzero((here >= 0) & (here != ONCE))
                here[at] = moved[here[at]]


def _pieces(length: int) -> Iterator[slice]:
    for start in range(0, length, PIECE):
        yield slice(start, min(start + PIECE, length))


def _renumber_contexts(keys: np.ndarray, moved: np.ndarray, vocab_size: int) -> None:
    """Give keys the new numbers of their contexts, in place; those seen once have none here."""
    for part in _pieces(len(keys)):
        contexts = keys[part] // vocab_size
        keys[part] += (moved[contexts].astype(np.int64) - contexts) * vocab_size
