"""Predictions mixed as probabilities: p = sum over k of weight_k p_k.

In float32 a probability below 1e-38 is none at all; where the sum comes near that, it is taken by
logarithms instead. Legend: S streams, V vocabulary, L places held, l of a stream's own.
"""

from abc import abstractmethod

import numpy as np

from charlm.predict.drawing import TINY, UNCHANGED, aimed, only
from charlm.predict.kept import kept
from charlm.predict.predictor import LazyPrediction, Prediction, Rules


class MixedPrediction(LazyPrediction):
    """A prediction that is made as probabilities."""

    @kept
    def probs(self) -> np.ndarray:
        """Give p of every id, (S, V) float32; 0 for what float32 cannot hold."""
        return self._mix()

    def draw(self, rules: Rules, noise: np.ndarray) -> np.ndarray:
        """Choose one id for each stream; where nothing is changed, by the probabilities at once."""
        if self._laid_out or only(rules) != UNCHANGED:
            return super().draw(rules, noise)
        return aimed(self.probs, noise)

    def _of_probs(self, ids: np.ndarray) -> np.ndarray | None:
        """Give log p of one id for each stream, (S,), if p of all are at hand; else None."""
        if self._laid_out:
            return self._dense.of(ids)
        if "probs" not in self.__dict__:
            return None
        probs = self.probs[np.arange(len(self.probs)), ids]
        return np.asarray(np.log(probs)) if probs.min() >= TINY else self._dense.of(ids)

    @abstractmethod
    def _mix(self) -> np.ndarray:
        """Compute p of every id, (S, V)."""

    @abstractmethod
    def _log_mix(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Compute log p of some ids (n,) in the streams `rows` (n,), by logarithms."""

    def _make(self) -> np.ndarray:
        probs = self.probs
        if probs.min() >= TINY:
            return np.asarray(np.log(probs))
        with np.errstate(divide="ignore"):
            logs = np.log(probs)
            rows, ids = np.nonzero(probs < TINY)
            logs[rows, ids] = self._log_mix(rows, ids)
        return np.asarray(logs)


def probs_of(prediction: Prediction) -> np.ndarray:
    """Give p of every id, (S, V)."""
    own: np.ndarray | None = getattr(prediction, "probs", None)
    return np.asarray(np.exp(prediction.log_probs())) if own is None else own


def softmax(logits: np.ndarray) -> np.ndarray:
    """Give shares along the last axis; zeros where all are -inf."""
    if not logits.shape[-1]:
        return logits
    largest = logits.max(axis=-1, keepdims=True)
    weights = np.exp(logits - np.where(np.isfinite(largest), largest, 0))
    total: np.ndarray = weights / np.maximum(weights.sum(axis=-1, keepdims=True), 1e-30)
    return total
