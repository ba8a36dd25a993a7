"""Predictions mixed as probabilities: p = sum over k of weight_k p_k.

In float32 a probability below 1e-38 is none at all; where the sum comes near that, it is taken by
logarithms instead. Legend: S streams, V vocabulary, L places held, l of a stream's own.
"""

from abc import abstractmethod
from functools import cached_property

import numpy as np

from charlm.predict.drawing import aimed, only
from charlm.predict.places import Grouped
from charlm.predict.predictor import LazyPrediction, Prediction, Rules

TINY = np.float32(1e-30)
UNCHANGED = (1.0, 0)  # temperature, and no top-k


class MixedPrediction(LazyPrediction):
    """A prediction that is made as probabilities."""

    @cached_property
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


class CachePrediction(MixedPrediction):
    """What a network and its cache say comes next.

    weights: (S, L), each stream's add up to one
    ids:     (S, l) that the last of them count for, NOTHING for none
    share:   (S, 1) of the cache
    shared:  the places that the others count for, in all streams
    """

    def __init__(
        self,
        network: Prediction,
        weights: np.ndarray,
        ids: np.ndarray,
        share: np.ndarray,
        shared: Grouped | None,
    ) -> None:
        self._network, self._share, self._ids = network, share, ids
        before = weights.shape[1] - ids.shape[1]
        self._weights, self._shared = weights[:, before:], shared
        self._shared_weights = None if shared is None else shared.sums(weights[:, :before])

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Give log p of one id for each stream, (S,)."""
        if (known := self._of_probs(ids)) is not None:
            return known
        cached = self._cached(np.arange(len(self._share)), np.asarray(ids))
        return self._added(self._network.of(ids), cached, self._share[:, 0])

    def _mix(self) -> np.ndarray:
        mixed: np.ndarray = (1 - self._share) * probs_of(self._network)  # (S, V)
        if self._shared is not None:
            mixed[:, self._shared.ids] += self._share * self._shared_weights
        streams, size = mixed.shape
        places = self._ids + size * np.arange(streams)[:, None]  # NOTHING has no weight anywhere
        np.add.at(mixed.reshape(-1), places.ravel(), (self._share * self._weights).ravel())
        return mixed

    def _log_mix(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        network = self._network.log_probs()[rows, ids]
        return self._added(network, self._cached(rows, ids), self._share[rows, 0])

    def _cached(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Give what the cache says of some ids (n,) in the streams `rows` (n,)."""
        same = self._ids[rows] == ids[:, None]
        cached: np.ndarray = (self._weights[rows] * same).sum(axis=1)
        if self._shared is not None and self._shared_weights is not None:
            own = self._shared.ids
            place = np.minimum(np.searchsorted(own, ids), len(own) - 1)
            cached += self._shared_weights[rows, place] * (own[place] == ids)
        return cached

    @staticmethod
    def _added(network: np.ndarray, cached: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Give log((1 - share) e^network + share · cached), (n,)."""
        with np.errstate(divide="ignore"):
            added = np.logaddexp(network + np.log1p(-share), np.log(share * cached))
        return np.asarray(added, dtype=np.float32)


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
