"""How sure a score is: an interval by resampling blocks of the text.

Neighbouring tokens depend on each other, blocks of them hardly: so blocks are drawn with
replacement, as many as there are, a thousand times, and each time the ratio of their sums is taken
(Künsch 1989, "The jackknife and the bootstrap for general stationary observations"; Efron &
Tibshirani 1993). Of a long text several blocks, far from each other, are kept as one sum.
Legend: K blocks, C columns that are summed.
"""

import numpy as np

BLOCK = 256  # tokens: some paragraphs of words, a few of characters
MOST = 4_096  # sums that are kept
FEWEST = 20  # with fewer blocks nothing is said
DRAWS = 1_000
LEVEL = 0.95
SEED = 0


class BlockSums:
    """Sums over the blocks of a text that passes; `size` places make a block."""

    def __init__(self, columns: int, size: int = BLOCK) -> None:
        self._sums = np.zeros((MOST, columns))
        self._size, self._last = size, -1

    def add(self, values: np.ndarray, places: np.ndarray) -> None:
        """Add values (N, C) at places (N,) of the text, counted from 0."""
        if not len(places):
            return
        blocks = places // self._size
        self._last = max(self._last, int(blocks[-1]))
        bins = blocks % MOST
        for column in range(values.shape[1]):
            self._sums[:, column] += np.bincount(bins, weights=values[:, column], minlength=MOST)

    @property
    def rows(self) -> np.ndarray:
        """Give the sums of the blocks, (K, C)."""
        return self._sums[: self._last + 1]


def ratio_interval(numerators: np.ndarray, denominator: np.ndarray) -> np.ndarray | None:
    """Give the 95 % interval of each ratio of sums, (2, C): low and high; None for few blocks.

    numerators: (K, C), denominator: (K,). The same blocks are drawn for all columns, and drawn
    again for the same text: a figure reproduces.
    """
    count = len(denominator)
    if count < FEWEST:
        return None
    random = np.random.default_rng(SEED)
    ratios = []
    for _ in range(DRAWS):
        times = np.bincount(random.integers(count, size=count), minlength=count).astype(float)
        ratios.append((times @ numerators) / max(float(times @ denominator), 1e-300))
    edge = (1 - LEVEL) / 2
    return np.asarray(np.quantile(np.array(ratios), [edge, 1 - edge], axis=0))
