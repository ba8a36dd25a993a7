"""A network's prediction with what its cache says: the weights of places, and the mixture of both.

This is the plain way, in NumPy; `charlm.predict.cache_compiled` has one that numba compiles.
Legend: S streams, V vocabulary, L shared places, U ids that followed them, l a stream's own places.
"""

from typing import NamedTuple

import numpy as np

from charlm.predict.mixed import MixedPrediction, probs_of, softmax
from charlm.predict.places import NOTHING, Grouped
from charlm.predict.predictor import Prediction


class Held(NamedTuple):
    """The places that streams hold, and how alike each is to where its stream stands.

    own, ids:  (S, l) of a stream's own places, and what followed them, NOTHING for none
    of_shared: (S, L) of the places that all streams share
    shared:    these; None where there are none

    Who weighs the places may overwrite how alike they are.
    """

    own: np.ndarray
    ids: np.ndarray
    of_shared: np.ndarray
    shared: Grouped | None


class Weights(NamedTuple):
    """How much places count: those of a stream add up to one, if it holds any.

    own:    (S, l) of its own places
    sums:   (S, U) of the shared places, those of an id together
    counts: (S,) places that each stream holds
    """

    own: np.ndarray
    sums: np.ndarray
    counts: np.ndarray


class NumpyMixing:
    """The plain way to weigh places and to mix."""

    def weigh(self, held: Held, flatness: float, size: int) -> Weights:
        """Weigh places by e^(flatness likeness); of each stream the last `size`."""
        there = held.ids != NOTHING
        counts, like = there.sum(axis=1), np.multiply(held.own, flatness, out=held.own)
        if not there.all():
            like[~there] = -np.inf
        if held.shared is None:
            weights = softmax(like)
            return Weights(weights, weights[:, :0], counts)
        places = len(held.shared.columns)
        forgotten = np.maximum(places + counts - size, 0)
        of_shared = np.multiply(held.of_shared, flatness, out=held.of_shared)
        held.shared.forget(of_shared, forgotten)
        weights = softmax(np.concatenate([of_shared, like], axis=1))
        sums = held.shared.sums(weights[:, :places])
        return Weights(weights[:, places:], sums, counts + places - forgotten)

    def mix(self, probs: np.ndarray, share: np.ndarray, weights: Weights, held: Held) -> np.ndarray:
        """Give (1 - share) p + share p of the cache, for every id, (S, V); share (S, 1)."""
        mixed: np.ndarray = (1 - share) * probs
        if held.shared is not None:
            mixed[:, held.shared.ids] += share * weights.sums
        streams, size = mixed.shape
        places = held.ids + size * np.arange(streams)[:, None]  # NOTHING has no weight anywhere
        np.add.at(mixed.reshape(-1), places.ravel(), (share * weights.own).ravel())
        return mixed


class CachePrediction(MixedPrediction):
    """What a network and its cache, of shares (S, 1), say comes next."""

    def __init__(
        self,
        network: Prediction,
        share: np.ndarray,
        weights: Weights,
        held: Held,
        mixing: NumpyMixing,
    ) -> None:
        self._network, self._share, self._mixing = network, share, mixing
        self._weights, self._held = weights, held

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Give log p of one id for each stream, (S,)."""
        if (known := self._of_probs(ids)) is not None:
            return known
        cached = self._cached(np.arange(len(self._share)), np.asarray(ids))
        return self._added(self._network.of(ids), cached, self._share[:, 0])

    def _mix(self) -> np.ndarray:
        probs = probs_of(self._network)
        return self._mixing.mix(probs, self._share, self._weights, self._held)

    def _log_mix(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        network = self._network.log_probs()[rows, ids]
        return self._added(network, self._cached(rows, ids), self._share[rows, 0])

    def _cached(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Give what the cache says of some ids (n,) in the streams `rows` (n,)."""
        same = self._held.ids[rows] == ids[:, None]
        cached: np.ndarray = (self._weights.own[rows] * same).sum(axis=1)
        if self._held.shared is not None:
            own = self._held.shared.ids
            place = np.minimum(np.searchsorted(own, ids), len(own) - 1)
            cached += self._weights.sums[rows, place] * (own[place] == ids)
        return cached

    @staticmethod
    def _added(network: np.ndarray, cached: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Give log((1 - share) e^network + share · cached), (n,)."""
        with np.errstate(divide="ignore"):
            added = np.logaddexp(network + np.log1p(-share), np.log(share * cached))
        return np.asarray(added, dtype=np.float32)
