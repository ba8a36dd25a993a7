"""The places of a neural cache: a list that many states share, each seeing its own part of it.

A state never changes. Reading one id more adds a place behind those that a state sees, where no
other state has put one, and nothing is copied; where one has, or no room is left, they are copied
first. So a step costs the same however much is held.
Legend: S streams, E size of the outputs, L places held, C places there is room for.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from charlm.predict.kept import kept

NOTHING = -1  # in place of an id where a stream has read less than others
FEWEST = 64  # places that there is room for at first


@dataclass(frozen=True)
class Places:
    """What a cache holds: outputs (S, L, E), and the ids (S, L) that followed them.

    list, end: the shared list that they are a part of, and where it ends; None for any arrays
    """

    keys: np.ndarray
    ids: np.ndarray
    list: "_List | None" = field(default=None, repr=False, compare=False)
    end: int = 0

    @kept
    def grouped(self) -> "Grouped":
        """Give the places of the first stream, grouped by their ids."""
        return group(self.keys[0], self.ids[0])

    def grown(self, keys: np.ndarray, ids: np.ndarray, size: int) -> "Places":
        """Add places (S, n, E), (S, n), and forget all but the last `size`."""
        count = ids.shape[1]
        if count == 1:
            own, end = self._with_room(size)
            own.keys[:, end], own.ids[:, end] = keys[:, 0], ids[:, 0]
            start = max(end + 1 - min(self.ids.shape[1] + 1, size), 0)
            seen = slice(start, end + 1)
            return Places(own.keys[:, seen], own.ids[:, seen], own, end + 1)
        keys = np.concatenate([self.keys, keys], axis=1)[:, -size:]
        return Places(keys, np.concatenate([self.ids, ids], axis=1)[:, -size:])

    def select(self, streams: np.ndarray) -> "Places":
        """Take some streams, in the order given."""
        return Places(self.keys[streams], self.ids[streams])

    def _with_room(self, size: int) -> tuple["_List", int]:
        """Give a list that begins as this one does, and where the next place is free in it."""
        if self.list is not None and self.list.take(self.end):
            return self.list, self.end
        held = min(self.ids.shape[1], size - 1)
        streams, _, width = self.keys.shape
        room = max(FEWEST, 2 * (held + 1))
        own = _List(
            np.empty((streams, room, width), self.keys.dtype),
            np.empty((streams, room), self.ids.dtype),
            held + 1,
        )
        first = self.ids.shape[1] - held
        own.keys[:, :held], own.ids[:, :held] = self.keys[:, first:], self.ids[:, first:]
        return own, held


def stack_places(parts: Sequence[Places]) -> Places:
    """Put the places of streams one after the other; those that hold fewer begin with NOTHING."""
    if len(parts) == 1:
        return parts[0]
    held = max(part.ids.shape[1] for part in parts)
    streams, width = sum(len(part.ids) for part in parts), parts[0].keys.shape[2]
    keys = np.zeros((streams, held, width), dtype=parts[0].keys.dtype)
    ids = np.full((streams, held), NOTHING, dtype=np.int64)
    row = 0
    for part in parts:
        rows, places = slice(row, row + len(part.ids)), slice(held - part.ids.shape[1], held)
        keys[rows, places], ids[rows, places] = part.keys, part.ids
        row = rows.stop
    return Places(keys, ids)


@dataclass(frozen=True)
class Grouped:
    """Places of one stream, those of an id side by side: what an id weighs is a sum of neighbours.

    keys:    (L, E) outputs
    ids:     (U,) that followed, each once; the places of each begin at `starts` (U,)
    columns: (L,) where the places are, the oldest first
    """

    keys: np.ndarray
    ids: np.ndarray
    starts: np.ndarray
    columns: np.ndarray

    def forget(self, numbers: np.ndarray, count: np.ndarray) -> None:
        """Set to -inf, of numbers (S, L) for the places, those of each stream's oldest, (S,)."""
        rows, oldest = np.nonzero(np.arange(count.max(initial=0)) < count[:, None])
        numbers[rows, self.columns[oldest]] = -np.inf

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """Give what the ids weigh, (S, U), by the weights (S, L) of the places."""
        return np.add.reduceat(weights, self.starts, axis=1)


def group(keys: np.ndarray, ids: np.ndarray) -> Grouped:
    """Group places (L, E) and (L,) by their ids; places of NOTHING are left out."""
    held = np.flatnonzero(ids != NOTHING)
    order = held[np.argsort(ids[held], kind="stable")]
    unique, starts = np.unique(ids[order], return_index=True)
    columns = np.empty(len(held), dtype=np.int64)
    columns[np.searchsorted(held, order)] = np.arange(len(held))
    return Grouped(keys[order], unique, starts, columns)


class _List:
    """Room for places, (S, C, E) and (S, C), of which the first `used` are taken."""

    def __init__(self, keys: np.ndarray, ids: np.ndarray, used: int) -> None:
        self.keys, self.ids = keys, ids
        self._used: int = used
        self._lock = threading.Lock()

    def take(self, place: int) -> bool:
        """Take a place, if it is the next one that is free."""
        with self._lock:
            free: bool = place == self._used and place < self.ids.shape[1]
            self._used += free
        return free
