"""The places of a neural cache: a list that many states share, each seeing its own part of it.

A state never changes. Reading one id more adds a place behind those that a state sees, where no
other state has put one, and nothing is copied; where one has, or no room is left, they are copied
first. So a step costs the same however much is held.
Legend: S streams, E size of the outputs, L places held, C places there is room for.
"""

import threading
from dataclasses import dataclass, field

import numpy as np

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


def leave_shared(weights: np.ndarray, shared: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Set to -inf, in weights (S, L), what a stream does not see of places that all of them share.

    shared: (l,) ids, of the first of the weights; room: (S,) that each stream has for them, of
    which it sees the last. Gives how many each sees, (S,).
    """
    forgotten = np.maximum(len(shared) - room, 0)  # (S,)
    seen: np.ndarray = len(shared) - forgotten
    some = np.arange(forgotten.max()) < forgotten[:, None]  # others may see these
    weights[:, : some.shape[1]][some] = -np.inf
    nothing = shared == NOTHING
    if nothing.any():
        weights[:, : len(shared)][:, nothing] = -np.inf
        seen = np.isfinite(weights[:, : len(shared)]).sum(axis=1)
    return seen
