"""How far a score is certain: a bootstrap interval from the sums of stretches of a text.

Neighbouring tokens are surprising together (a rare name comes again, a passage is in verse), so
that resampling single tokens would promise too narrow an interval. What is resampled is blocks of
consecutive text (Künsch 1989, "The Jackknife and the Bootstrap for General Stationary
Observations"), from any place, the end joined to the beginning, so that every place counts alike
(Politis & Romano 1992, "A circular block-resampling procedure for stationary data"). How far
dependence reaches is not known, so blocks are as long as leaves BLOCKS of them: shorter ones would
hide dependence, fewer would make the interval itself uncertain. The interval is the middle of the
scores of such texts (Efron 1979), a little more than 95 % of them, as so few blocks need (the
"expanded percentile interval" of Hesterberg 2015, arXiv 1411.5279).

Legend: R predictors, C stretches.
"""

import math

import numpy as np

SHORTEST = 32  # units of a stretch at first; it doubles whenever there are too many
MOST = 1024  # stretches kept
BLOCKS = 16  # of a text drawn anew, or a few more; for fewer stretches no interval is made
RESAMPLES = 5_000
SEED = 0
STUDENT = 2.1314  # half of a 95 % interval, by Student's t with BLOCKS - 1 degrees of freedom
TAIL = 0.5 * math.erfc(STUDENT * math.sqrt(BLOCKS / (BLOCKS - 1) / 2))  # 1.4 %, left out on a side


class Stretches:
    """Sums of nats over stretches of equally many units, from a text of any length.

    A token belongs to the stretch in which it begins. The stretches of a text depend on how many
    units it has, not on how it is cut into tokens: two models with different tokenizers get sums
    over the same stretches, if they share the unit.
    """

    def __init__(self) -> None:
        self.size = SHORTEST
        self.units = 0
        self._sums = np.zeros((0, MOST))  # (R, MOST)

    def add(self, sizes: np.ndarray, nats: np.ndarray) -> None:
        """Take the next tokens: their units (n,), each at least one, and nats (n,) or (n, R)."""
        if not len(sizes):
            return
        columns = nats.reshape(len(sizes), -1).T
        if not self._sums.size:
            self._sums = np.zeros((len(columns), MOST))
        ends = self.units + np.cumsum(sizes, dtype=np.int64)
        begins = ends - sizes
        self.units = int(ends[-1])
        while self.units > self.size * MOST:
            self._sums = np.pad(self._sums[:, ::2] + self._sums[:, 1::2], ((0, 0), (0, MOST // 2)))
            self.size *= 2
        begins = np.minimum(begins, max(self.units - 1, 0))  # what has no unit may stand behind all
        places = begins // self.size
        for sums, column in zip(self._sums, columns, strict=True):
            sums += np.bincount(places, weights=column, minlength=MOST)

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the nats of each stretch, (C, R), and its units, (C,): less only in the last."""
        count = -(-self.units // self.size)
        units = np.full(count, self.size, dtype=np.int64)
        units[-1:] -= count * self.size - self.units
        return self._sums[:, :count].T, units


def intervals(sums: np.ndarray, units: np.ndarray, seed: int = SEED) -> np.ndarray | None:
    """Give the 95 % interval of sum / unit, (R, 2), from stretches' sums (C, R) and units (C,).

    The same seed gives the same interval. None where there are fewer than BLOCKS stretches, or
    one costs infinitely much.
    """
    count = len(units)
    if count < BLOCKS or not np.isfinite(sums).all():
        return None
    length = count // BLOCKS  # stretches in a block
    starts = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count // length))
    drawn = _blocks(units[:, None], length)[starts].sum(axis=1)  # (RESAMPLES, 1)
    rates = np.stack([_blocks(own, length)[starts].sum(axis=1) for own in sums.T], axis=1) / drawn
    ends: np.ndarray = np.quantile(rates, (TAIL, 1 - TAIL), axis=0).T
    return ends


def _blocks(values: np.ndarray, length: int) -> np.ndarray:
    """Sum each run of `length` values, the end joined to the beginning: (C, ...) -> (C, ...)."""
    joined = np.concatenate([np.zeros_like(values[:1]), values, values[: length - 1]])
    totals = np.cumsum(joined, axis=0)
    return np.asarray(totals[length:] - totals[:-length])
