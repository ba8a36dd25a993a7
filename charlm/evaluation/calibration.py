"""Calibration: whether what is predicted with probability p comes p of the time.

At each token the predictor's first guess is its most probable token, and its confidence the
probability it gives that one. A calibrated predictor is right about as often as it is confident
(Guo et al. 2017, "On Calibration of Modern Neural Networks", whose definitions these are).
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from charlm.evaluation.tokens import TokenScore

BINS = 15  # of equal width, as in the paper
CHUNK = 1 << 14  # tokens counted at a time
NORMAL_95 = 1.959964  # standard deviations on each side of 95 % of a normal distribution


@dataclass(frozen=True)
class Calibration:
    """First guesses, sorted by their confidence into bins of equal width from 0 to 1.

    tokens:     in each bin, (bins,)
    confidence: sum over the tokens of each bin, (bins,)
    right:      first guesses in each bin that came, (bins,)
    nats, entropy: sums over all tokens of -log p and of what the predictor expected it to be
    """

    tokens: np.ndarray
    confidence: np.ndarray
    right: np.ndarray
    nats: float = 0.0
    entropy: float = 0.0

    @property
    def total(self) -> int:
        """Give the number of tokens."""
        return int(self.tokens.sum())

    @property
    def mean_confidence(self) -> np.ndarray:
        """Give the mean confidence in each bin, (bins,); NaN where there is no token."""
        return _shares(self.confidence, self.tokens)

    @property
    def accuracy(self) -> np.ndarray:
        """Give how often the first guess came, for each bin, (bins,); NaN where there is none."""
        return _shares(self.right, self.tokens)

    @property
    def expected_error(self) -> float:
        """Give the expected calibration error: |accuracy - confidence|, averaged over tokens."""
        return float(np.abs(self.right - self.confidence).sum() / max(self.total, 1))

    def to_json(self) -> dict[str, Any]:
        """Give the bins that hold anything, and the expected error, as plain data."""
        rows = zip(self.tokens, self.mean_confidence, self.accuracy, strict=True)
        bins = [
            {"count": int(count), "given": round(float(given), 4), "came": round(float(came), 4)}
            for count, given, came in rows
            if count
        ]
        return {"count": self.total, "expected_error": self.expected_error, "bins": bins}

    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the 95 % interval of each accuracy, (bins,) each, if tokens were independent.

        Wilson (1927): it stays within 0 and 1, and is wide where the tokens are few.
        """
        n, share, z2 = np.maximum(self.tokens, 1), self.accuracy, NORMAL_95**2
        middle = (share + z2 / (2 * n)) / (1 + z2 / n)
        half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
        return middle - half, middle + half


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Calibration:
    """Sort first guesses into bins: confidence (N,) of each in [0, 1], and whether it came (N,).

    Bin k holds the confidences in (k / bins, (k + 1) / bins], the first one 0 too.
    """
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return Calibration(
        np.bincount(place, minlength=bins),
        np.bincount(place, weights=confidence, minlength=bins),
        np.bincount(place[right], minlength=bins),
    )


class CalibrationCounter:
    """Counts the calibration of tokens as they pass."""

    def __init__(self, bins: int = BINS) -> None:
        nothing = np.zeros(0)
        self.result = calibration(nothing, nothing.astype(bool), bins)
        self._bins = bins

    def watch(self, scores: Iterable[TokenScore | None]) -> Iterator[TokenScore | None]:
        """Give the tokens on, None between documents too, and count those that are asked for."""
        waiting: list[TokenScore] = []
        try:
            for score in scores:
                if score is not None:
                    waiting.append(score)
                if len(waiting) == CHUNK:
                    self._count(waiting)
                    waiting = []
                yield score
        finally:
            self._count(waiting)

    def _count(self, scores: list[TokenScore]) -> None:
        confidence = np.array([score.confidence for score in scores])
        right = np.array([score.rank == 1 for score in scores], dtype=bool)
        old, new = self.result, calibration(confidence, right, self._bins)
        self.result = Calibration(
            old.tokens + new.tokens,
            old.confidence + new.confidence,
            old.right + new.right,
            old.nats + math.fsum(score.nats for score in scores),
            old.entropy + math.fsum(score.entropy for score in scores),
        )


def _shares(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    nothing = np.full(len(sums), np.nan)
    return np.asarray(np.divide(sums, counts, out=nothing, where=counts > 0))
