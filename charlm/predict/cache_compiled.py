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

FLOAT, LONG = types.float32, types.int64
ROWS, LINE = FLOAT[:, ::1], types.Array(LONG, 1, "C", readonly=True)
GIVEN = types.Array(FLOAT, 2, "C", readonly=True)
IDS = types.Array(LONG, 2, "A", readonly=True)  # a part of a longer list, of each stream
SIGNATURES = {
    "weigh": types.void(ROWS, LINE, LINE, ROWS, IDS, LONG, FLOAT, ROWS, LONG[::1]),
    "mix": types.void(GIVEN, types.Array(FLOAT, 1, "A", True), GIVEN, LINE, GIVEN, IDS, ROWS),
}
NONE = np.zeros(0, dtype=np.int64)


class CompiledMixing(NumpyMixing):
    """Weighs and mixes by one compiled function each."""

    def __init__(self) -> None:
        self._weigh, self._mix = _compiled("weigh"), _compiled("mix")

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


@cache
def _compiled(name: str) -> Callable[..., Any]:
    return compile_for(getattr(kernels, name), SIGNATURES[name], kernels.OPTIONS)
