"""The compiled way of `charlm.generation.following`: it needs numba, the extra `fast`.

n spellings, V vocabulary, B tokens that are followed.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import types

from charlm.generation import following_kernels as kernels
from charlm.generation.following import FAINT, MOST, Following, listed
from charlm.predict.compiling import compile_for

LINE, ROWS = types.float64[::1], types.float64[:, ::1]
LONGS = types.int64[::1]
SIGNATURE = types.void(
    *(ROWS, LONGS, ROWS, LINE, types.float64),
    *(types.int64[:, ::1], ROWS, ROWS, LONGS, LINE, LINE),
)


def follow_compiled(
    probs: np.ndarray, places: np.ndarray, may_follow: np.ndarray, ending: np.ndarray
) -> Following:
    """Find what follows spellings; takes what `charlm.generation.following.follow` does."""
    streams, width = len(probs), min(MOST, probs.shape[1])
    tokens, shares = np.empty((streams, width), np.int64), np.empty((streams, width))
    tails, counts = np.empty((streams, width + 1)), np.empty(streams, np.int64)
    rest, ends = np.empty(streams), np.empty(streams)
    _compiled()(
        *(probs, places, may_follow, ending, FAINT),
        *(tokens, shares, tails, counts, rest, ends),
    )
    return listed(tokens, shares, tails, counts, rest, ends)


@cache
def _compiled() -> Callable[..., Any]:
    return compile_for(kernels.follow, SIGNATURE, kernels.OPTIONS)
