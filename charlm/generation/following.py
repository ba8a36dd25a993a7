"""The tokens to follow from spellings: the most probable of those that may come next.

This is the plain way, in NumPy; `charlm.generation.following_compiled` has one that numba compiles.
n spellings, V vocabulary, P places that they may stand at, B tokens that are followed.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

MOST = 64  # tokens followed from one spelling
FAINT = 1e-6  # share of a token that is not worth opening


class Following(NamedTuple):
    """What follows each of n spellings.

    tokens, shares: that are followed, and p of each, the most probable first
    tails:          the sums of these from each on, and 0
    rest:           p of all others that may follow
    ends:           p of the tokens that end a word
    """

    tokens: list[list[int]]
    shares: list[list[float]]
    tails: list[list[float]]
    rest: list[float]
    ends: list[float]


# takes p of every id after each spelling, (n, V) float64; places (n,); which tokens may follow at
# each place, and which end a word, as 1 or 0, (P, V) and (V,) float64
Follow: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], Following]


def follow(
    probs: np.ndarray, places: np.ndarray, may_follow: np.ndarray, ending: np.ndarray
) -> Following:
    """Find what follows spellings; see `Follow` for what it takes."""
    own = probs * may_follow[places]
    best, kept = _best(own)
    strong = kept > FAINT
    tails = np.zeros((len(kept), kept.shape[1] + 1))
    tails[:, :-1] = np.cumsum((kept * strong)[:, ::-1], axis=1)[:, ::-1]
    rest = np.maximum(own.sum(axis=1) - tails[:, 0], 0.0)
    return listed(best, kept, tails, strong.sum(axis=1), rest, probs @ ending)


def listed(
    tokens: np.ndarray,
    shares: np.ndarray,
    tails: np.ndarray,
    counts: np.ndarray,
    rest: np.ndarray,
    ends: np.ndarray,
) -> Following:
    """Make lists of arrays: tokens and shares (n, B), of which `counts` (n,) are followed."""
    numbers = counts.tolist()
    return Following(
        [row[:number] for row, number in zip(tokens.tolist(), numbers, strict=True)],
        [row[:number] for row, number in zip(shares.tolist(), numbers, strict=True)],
        [row[: number + 1] for row, number in zip(tails.tolist(), numbers, strict=True)],
        rest.tolist(),
        ends.tolist(),
    )


def _best(probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the tokens to follow and p of each, both (n, B), the most probable first."""
    best = np.broadcast_to(np.arange(probs.shape[1]), probs.shape)
    if probs.shape[1] > MOST:
        best = np.argpartition(probs, -MOST, axis=1)[:, -MOST:]
        best.sort(axis=1)  # equals in the order of their ids
    rows = np.arange(len(probs))[:, None]
    kept = probs[rows, best]
    order = np.argsort(-kept, axis=1, kind="stable")
    return best[rows, order], kept[rows, order]
