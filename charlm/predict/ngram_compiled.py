"""The compiled way of `charlm.predict.ngram`: its tables as the kernels take them, and their calls.

It needs numba, the extra `fast`. Legend: S streams, V vocabulary, K order.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numba import types

from charlm.predict import ngram_kernels as kernels
from charlm.predict.compiling import compile_for

GIVEN = types.Array(types.int64, 1, "C", readonly=True)  # may not be ours to write to
STATES = types.Array(types.int64, 2, "C", readonly=True)
TABLES = types.int64[:, ::1]
AFTER = types.void(GIVEN, STATES, TABLES, types.int64, types.int64[:, ::1])
LOG_PROBS = types.void(STATES, TABLES, types.int64, types.float32[:, ::1])


class CompiledGrams:
    """Tables of n-grams, of each length (keys, log p, log of what is left; see NgramTable).

    Raises ValueError where they lie in memory as no compiled function can read them.
    """

    def __init__(self, tables: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray | None]]) -> None:
        self._held = tables  # else their addresses would be nobody's
        self._vocab_size = len(tables[0][0])
        self._tables = np.zeros((len(tables), 4), dtype=np.int64)
        for row, arrays in zip(self._tables, tables, strict=True):
            kinds = (np.int64, np.float32, np.float32)
            for column, (array, kind) in enumerate(zip(arrays, kinds, strict=True)):
                if array is None:
                    continue
                if array.dtype != kind or not (array.flags.c_contiguous and array.flags.aligned):
                    raise ValueError(f"not {kind.__name__} as they lie in memory")
                row[column] = array.ctypes.data
            row[kernels.SIZE] = len(arrays[0])
        self._after = _compiled("numbers_after")
        self._log_probs = _compiled("log_probs_after")

    def after(self, ids: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Give the states (S, K - 1) when each stream reads one id, (S,)."""
        found = np.empty(states.shape, dtype=np.int64)
        own = np.ascontiguousarray(ids, np.int64), np.ascontiguousarray(states)
        self._after(*own, self._tables, self._vocab_size, found)
        return found

    def log_probs(self, states: np.ndarray) -> np.ndarray:
        """Give log p of every id after each stream, (S, V) float32."""
        found = np.empty((len(states), self._vocab_size), dtype=np.float32)
        self._log_probs(np.ascontiguousarray(states), self._tables, self._vocab_size, found)
        return found


@cache
def _compiled(name: str) -> Callable[..., Any]:
    signature = AFTER if name == "numbers_after" else LOG_PROBS
    return compile_for(getattr(kernels, name), signature, kernels.OPTIONS)
