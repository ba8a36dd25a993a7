"""The compiled way of `charlm.predict.cached`: it needs numba, the extra `fast`.

Legend: S streams, V vocabulary, L shared places, U ids that followed them, l a stream's own places.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import types

from charlm.predict import cache_kernels as kernels
from charlm.predict.cached import Held, NumpyMixing, Weights
from charlm.predict.compiling import compile_for
from charlm.predict.ragged import RaggedPlaces

FLOAT, LONG = types.float32, types.int64
ROWS, LINE = FLOAT[:, ::1], types.Array(LONG, 1, "C", readonly=True)
GIVEN = types.Array(FLOAT, 2, "C", readonly=True)
IDS = types.Array(LONG, 2, "A", readonly=True)  # a part of a longer list, of each stream
SHARES = types.Array(FLOAT, 1, "A", readonly=True)
SIGNATURES = {
    "weigh": types.void(ROWS, LINE, LINE, ROWS, IDS, LONG, FLOAT, ROWS, LONG[::1]),
    "mix": types.void(GIVEN, SHARES, GIVEN, LINE, GIVEN, IDS, ROWS),
}
LISTS = LONG[:, ::1]
SIGNATURES |= {
    "weigh_lists": types.void(LISTS, GIVEN, FLOAT, SHARES, FLOAT[::1]),
    "mix_lists": types.void(GIVEN, SHARES, LISTS, FLOAT[::1], ROWS),
}
NONE = np.zeros(0, dtype=np.int64)


class CompiledMixing(NumpyMixing):
    """Weighs and mixes by one compiled function each."""

    def __init__(self) -> None:
        self._weigh, self._mix = _compiled("weigh"), _compiled("mix")
        self._weigh_lists, self._mix_lists = _compiled("weigh_lists"), _compiled("mix_lists")

    def weigh(self, held: Held, flatness: float, size: int) -> Weights:
        """Weigh places by e^(flatness likeness); of each stream the last `size`."""
        shared = held.shared
        columns, starts = (NONE, NONE) if shared is None else (shared.columns, shared.starts)
        own, streams = np.ascontiguousarray(held.own), len(held.ids)
        sums = np.empty((streams, len(starts)), dtype=np.float32)
        counts = np.empty(streams, dtype=np.int64)
        of_shared = np.ascontiguousarray(held.of_shared)
        self._weigh(of_shared, columns, starts, own, held.ids, size, flatness, sums, counts)
        return Weights(own, sums, counts)

    def mix(self, probs: np.ndarray, share: np.ndarray, weights: Weights, held: Held) -> np.ndarray:
        """Give (1 - share) p + share p of the cache, for every id, (S, V); share (S, 1)."""
        mixed = np.empty(probs.shape, dtype=np.float32)
        ids = NONE if held.shared is None else held.shared.ids
        probs = np.ascontiguousarray(probs, dtype=np.float32)
        self._mix(probs, share[:, 0], weights.sums, ids, weights.own, held.ids, mixed)
        return mixed

    def weigh_lists(
        self, places: RaggedPlaces, queries: np.ndarray, flatness: float, share: np.ndarray
    ) -> np.ndarray:
        """Weigh places by what streams predict by, queries (S, E), and their shares (S, 1)."""
        lists, queries = places.lists, np.ascontiguousarray(queries, dtype=np.float32)
        weights = np.empty(int(lists[:, kernels.NUMBER].sum()), dtype=np.float32)
        self._weigh_lists(lists, queries, flatness, share[:, 0], weights)
        return weights

    def mix_lists(
        self, probs: np.ndarray, share: np.ndarray, weights: np.ndarray, places: RaggedPlaces
    ) -> np.ndarray:
        """Give (1 - share) p + share p of the cache, for every id, (S, V); share (S, 1)."""
        mixed = np.empty(probs.shape, dtype=np.float32)
        probs = np.ascontiguousarray(probs, dtype=np.float32)
        self._mix_lists(probs, share[:, 0], places.lists, weights, mixed)
        return mixed


@cache
def _compiled(name: str) -> Callable[..., Any]:
    return compile_for(getattr(kernels, name), SIGNATURES[name], kernels.OPTIONS)
