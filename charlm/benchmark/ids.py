"""Token ids to measure with; synthetic ones are as unevenly frequent as those of text."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

LENGTH = 200_000  # synthetic ids
FLATTENING = 2.7  # Mandelbrot's: the commonest words are less common than 1 / rank says
WINDOWS = 64  # of each stream, at most, are read while measuring

Kind = Literal["char", "word"]


@dataclass(frozen=True)
class Ids:
    """Ids (L,) of a vocabulary."""

    ids: np.ndarray
    vocab_size: int


def synthetic_ids(kind: Kind, vocab_size: int, length: int = LENGTH, seed: int = 1) -> Ids:
    """Draw ids: words by the Zipf-Mandelbrot law, lowest ids commonest, characters evenly."""
    random = np.random.default_rng(seed)
    if kind == "char":
        return Ids(random.integers(vocab_size, size=length).astype(np.int64), vocab_size)
    weights = 1.0 / (np.arange(vocab_size) + 1 + FLATTENING)
    edges = np.cumsum(weights / weights.sum())
    drawn = np.searchsorted(edges, random.random(length))
    return Ids(np.minimum(drawn, vocab_size - 1).astype(np.int64), vocab_size)


def whole_windows(ids: np.ndarray, batch: int, window: int) -> np.ndarray:
    """Take so many ids that every batch is whole, (B, T); a short text is read again."""
    number = max(1, min(WINDOWS, (len(ids) - 1) // (batch * window)))
    return np.resize(ids, number * batch * window + 1)
