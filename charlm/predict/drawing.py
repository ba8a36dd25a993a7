"""Drawing an id by where a number falls in the cumulated distribution, and finding the largest.

Everything works on unnormalised log p, such as logits: what is added to all of a stream's changes
no answer. Rules that are a temperature and a top-k alone say so by their attribute `only`; for
these there are shorter ways than laying out what the rules make of all ids, and the same noise
chooses the same id, but for roundings at the border of two.
Legend: S streams, V vocabulary.
"""

from collections.abc import Callable

import numpy as np

COLDEST = 1e-6  # a lower temperature takes the most probable, as 0 does
# ids whose weights are added up before it is known in which of the sums the aim falls, by how many
# there are at least
BLOCKS = {8192: 256, 1024: 64, 0: 32}
LARGE, SEVERAL = 4096, 1024  # ids from which that pays, for one stream and for several,
MANY = 20_000  # and weights of all streams

Only = tuple[float, int]
UNCHANGED: Only = (1.0, 0)
TINY = np.float32(1e-30)  # smaller ones are not to be told from 0 by float32


def only(rules: object) -> Only | None:
    """Give (temperature, top-k; 0 for all) where these alone are what rules do, else None."""
    found: Only | None = getattr(rules, "only", None)
    return found


def draw(
    logits: np.ndarray, rules: Callable[[np.ndarray], np.ndarray], noise: np.ndarray
) -> np.ndarray:
    """Draw an id for each stream from what rules make of logits (S, V); noise (S,) -> (S,)."""
    alone = only(rules)
    if alone is not None:
        return draw_simply(logits, alone, noise)
    weights = rules(logits).astype(np.float64)
    weights = np.exp(weights - weights.max(axis=1, keepdims=True))
    return aimed(weights, noise)


def draw_simply(logits: np.ndarray, alone: Only, noise: np.ndarray) -> np.ndarray:
    """Draw an id for each stream from logits (S, V) by a temperature and a top-k, (S,)."""
    temperature, k = alone
    if temperature < COLDEST or k == 1:
        return np.asarray(logits.argmax(axis=1))
    if temperature != 1.0:
        logits = logits / logits.dtype.type(temperature)
    weights = logits - logits.max(axis=1, keepdims=True)
    np.exp(weights, out=weights)
    if 0 < k < logits.shape[1]:
        weights *= are_largest(logits, k)
    return aimed(weights, noise)


def aimed(weights: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Give the id of each stream at which the cumulated weights (S, V) pass noise · sum, (S,)."""
    streams, size = weights.shape
    if size >= (LARGE if streams == 1 else SEVERAL) or (streams > 1 and weights.size >= MANY):
        sums = Cumulated(weights)
        return sums.places(np.arange(streams), aims_of(noise, sums.totals))
    cumulated = np.cumsum(weights, axis=1, dtype=np.float64)
    aims = aims_of(noise, cumulated[:, -1])
    if streams == 1:
        return np.asarray(cumulated[0].searchsorted(aims, side="right"))
    return np.asarray(np.argmax(cumulated > aims[:, None], axis=1))


def aims_of(noise: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Give noise · total of each stream, (S,), below the total also where that rounds up to it."""
    below: np.ndarray = np.minimum(np.asarray(noise) * totals, np.nextafter(totals, 0.0))
    return below


class Cumulated:
    """Weights (S, n), none below zero, by whose cumulated sums places are found.

    Sums of blocks of them are cumulated, and then the weights of the one that an aim falls in.

    totals: the sum of each stream's weights, (S,) float64
    """

    def __init__(self, weights: np.ndarray) -> None:
        streams, size = weights.shape
        self._block = block = next(each for least, each in BLOCKS.items() if size >= least)
        whole = size - size % block
        self._weights, self._sums = weights, weights[:, :whole].reshape(streams, -1, block).sum(2)
        if whole < size:
            rest = weights[:, whole:].sum(axis=1, keepdims=True)
            self._sums = np.concatenate([self._sums, rest], axis=1)
        self._cumulated = np.cumsum(self._sums, axis=1, dtype=np.float64)
        self.totals = self._cumulated[:, -1]

    def places(self, rows: np.ndarray, aims: np.ndarray) -> np.ndarray:
        """Give the places at which some rows' weights pass aims (n,), (n,).

        Each is a place of some weight, also for an aim that is not below the total, as one that
        comes from another sum of the same weights may be.
        """
        cumulated = self._cumulated[rows]
        aims = np.minimum(aims, np.nextafter(cumulated[:, -1], 0.0))
        blocks = np.argmax(cumulated > aims[:, None], axis=1)
        places = blocks[:, None] * self._block + np.arange(self._block)  # (n, block)
        size = self._weights.shape[1]
        own = self._weights[rows[:, None], np.minimum(places, size - 1)]
        own[places >= size] = 0
        inside, numbers = np.cumsum(own, axis=1, dtype=np.float64), np.arange(len(rows))
        # by a rounding, what the sums before leave of an aim may be less than none, or all there is
        before = cumulated[numbers, blocks] - self._sums[rows, blocks]
        left = np.maximum(aims - before, 0.0)
        left = np.minimum(left, np.nextafter(inside[:, -1], 0.0))
        return np.asarray(blocks * self._block + np.argmax(inside > left[:, None], axis=1))


def largest(values: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the places of the k largest of values (S, V), and those, both (S, k), largest first."""
    k = min(k, values.shape[1])
    if k == 1:
        ids = values.argmax(axis=1)[:, None]
        return ids, np.take_along_axis(values, ids, axis=1)
    ids = np.argpartition(values, -k, axis=1)[:, -k:]
    found = np.take_along_axis(values, ids, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(found, order, axis=1)


def are_largest(logits: np.ndarray, k: int) -> np.ndarray:
    """Tell which are the k largest of each stream, (S, V); of equals, the first."""
    least = np.partition(logits, -k, axis=1)[:, -k, None]
    return down_to(logits, least, np.full(len(logits), k))


def down_to(logits: np.ndarray, least: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Tell which are the largest of each stream, (S, V), `counts` (S,) down to `least` (S, 1).

    Of those that equal the least, the first.
    """
    kept: np.ndarray = logits >= least
    for row in np.flatnonzero(kept.sum(axis=1) > counts).tolist():
        equal = np.flatnonzero(logits[row] == least[row])
        kept[row, equal[counts[row] - int((logits[row] > least[row]).sum()) :]] = False
    return kept
