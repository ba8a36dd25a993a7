"""The places of many streams' caches, a list for each: long and short ones side by side.

Streams that come and go move no numbers, which a rectangle of all places would copy each time, and
a stream costs what it holds and not what the longest does. As in `charlm.predict.places` a list may
be shared: a stream adds a place where no other has put one, or to a copy.
Legend: S streams, E size of the outputs, L places that a stream holds, F = sum of all L.
"""

import threading
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np

from charlm.predict.kept import kept
from charlm.predict.places import NOTHING, Places, stack_places

FEWEST = 64  # places that there is room for at first
EVEN = 0.9  # of a rectangle's places that are taken, from which on it is quicker than lists
LARGE = 1 << 18  # numbers that are not to be copied each time that a stream comes or goes


FLOAT, LONG = np.dtype(np.float32), np.dtype(np.int64)  # of outputs and ids

TAKING = threading.Lock()  # of places, by streams that share a row


class Row:
    """Room for the places of a stream, (C, E) and (C,), of which the first `used` are taken."""

    __slots__ = ("at", "ids", "keys", "room", "used")

    def __init__(self, keys: np.ndarray, ids: np.ndarray, room: int) -> None:
        self.used, self.room = len(ids), room
        self.keys = np.empty((room, keys.shape[1]), FLOAT)
        self.ids = np.empty(room, LONG)
        self.keys[: self.used], self.ids[: self.used] = keys, ids
        self.at = self.keys.ctypes.data, self.ids.ctypes.data


Part: TypeAlias = tuple[Row, int, int]  # a row, where what a stream sees of it begins, and ends


def grown(part: Part, key: np.ndarray, token: int, size: int) -> Part:
    """Add a place, and forget all but the last `size`; under TAKING."""
    row, begin, end = part
    if end - begin == size:
        begin += 1
    if end != row.used or end == row.room:
        row = Row(row.keys[begin:end], row.ids[begin:end], max(FEWEST, 2 * (end - begin)))
        begin, end = 0, row.used
    row.keys[end] = key
    row.ids[end] = token
    row.used = end + 1
    return row, begin, end + 1


class RaggedPlaces:
    """What the caches of S streams hold; `keys` and `ids`, as of Places, are made if asked for."""

    def __init__(self, parts: Sequence[Part], width: int) -> None:
        self._parts, self._width = parts, width

    def __len__(self) -> int:
        """Count the streams, S."""
        return len(self._parts)

    @kept
    def lengths(self) -> np.ndarray:
        """How many places each holds, (S,)."""
        return np.array([end - begin for _, begin, end in self._parts], dtype=np.int64)

    @kept
    def keys(self) -> np.ndarray:
        """Outputs (S, L, E), those of streams that hold fewer at the end."""
        keys = np.zeros((len(self), self.lengths.max(initial=0), self._width), np.float32)
        for own, (row, begin, end) in zip(keys, self._parts, strict=True):
            own[len(own) - (end - begin) :] = row.keys[begin:end]
        return keys

    @kept
    def ids(self) -> np.ndarray:
        """The ids (S, L) that followed, before them NOTHING."""
        ids = np.full((len(self), self.lengths.max(initial=0)), NOTHING, np.int64)
        for own, (row, begin, end) in zip(ids, self._parts, strict=True):
            own[len(own) - (end - begin) :] = row.ids[begin:end]
        return ids

    @kept
    def all_ids(self) -> np.ndarray:
        """The ids of all streams, one after the other, (F,)."""
        return np.concatenate([row.ids[begin:end] for row, begin, end in self._parts])

    @kept
    def lists(self) -> np.ndarray:
        """Where each stream's outputs and ids begin in memory, and how many there are, (S, 3)."""
        wide, narrow = FLOAT.itemsize * self._width, LONG.itemsize
        places = [
            (row.at[0] + wide * begin, row.at[1] + narrow * begin, end - begin)
            for row, begin, end in self._parts
        ]
        return np.array(places, dtype=np.int64).reshape(-1, 3)

    def likeness(self, queries: np.ndarray) -> np.ndarray:
        """Give the products of each stream's outputs with its query (S, E), (F,)."""
        found, at = np.empty(int(self.lengths.sum()), np.float32), 0
        for (row, begin, end), query in zip(self._parts, queries, strict=True):
            until = at + end - begin
            row.keys[begin:end].dot(query, found[at:until])
            at = until
        return found

    def grown(self, keys: np.ndarray, ids: np.ndarray, size: int) -> "Places | RaggedPlaces":
        """Add places (S, n, E), (S, n), and forget all but the last `size`."""
        if ids.shape[1] != 1:
            return Places(self.keys, self.ids).grown(keys, ids, size)
        new = zip(self._parts, keys[:, 0], ids[:, 0].tolist(), strict=True)
        with TAKING:
            parts = [grown(part, key, token, size) for part, key, token in new]
        return RaggedPlaces(parts, self._width)

    def select(self, streams: np.ndarray) -> "RaggedPlaces":
        """Take some streams, in the order given."""
        return RaggedPlaces([self._parts[each] for each in streams.tolist()], self._width)

    @classmethod
    def of(cls, places: Iterable["Places | RaggedPlaces"]) -> "RaggedPlaces":
        """Put the places of streams one after the other; those that are ragged are not copied."""
        parts, width = list[Part](), 0
        for each in places:
            if isinstance(each, RaggedPlaces):
                parts += each._parts
                width = each._width
                continue
            width = each.keys.shape[2]
            for keys, ids in zip(each.keys, each.ids, strict=True):
                held = len(ids) - int((ids == NOTHING).sum())
                row = Row(keys[len(ids) - held :], ids[len(ids) - held :], max(FEWEST, 2 * held))
                parts.append((row, 0, held))
        return cls(parts, width)


def stacked(places: Sequence[Places | RaggedPlaces]) -> Places | RaggedPlaces:
    """Put the places of streams one after the other: a rectangle if all hold nearly as many."""
    even = [each for each in places if isinstance(each, Places)]
    if len(even) == len(places):
        shapes = [each.ids.shape for each in even]
        most = sum(streams for streams, _ in shapes) * max(held for _, held in shapes)
        if sum(int((each.ids != NOTHING).sum()) for each in even) >= EVEN * most:
            return stack_places(even)
    return RaggedPlaces.of(places)


def selected(places: Places | RaggedPlaces, streams: np.ndarray) -> Places | RaggedPlaces:
    """Take some streams, in the order given; of large places the others may go soon as well."""
    if isinstance(places, Places) and places.keys.size >= LARGE and len(streams) > 1:
        rows = ((places.keys[row, None], places.ids[row, None]) for row in streams.tolist())
        return RaggedPlaces.of(Places(keys, ids) for keys, ids in rows)
    return places.select(streams)
