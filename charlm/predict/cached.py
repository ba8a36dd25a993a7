"""A network's prediction with what its cache says: the weights of places, and the mixture of both.

This is the plain way, in NumPy; `charlm.predict.cache_compiled` has one that numba compiles.
Legend: S streams, V vocabulary, L shared places, U ids that followed them, l a stream's own places.
"""

from abc import abstractmethod
from typing import NamedTuple

import numpy as np

from charlm.predict.mixed import MixedPrediction, probs_of, softmax
from charlm.predict.places import NOTHING, Grouped
from charlm.predict.predictor import Prediction
from charlm.predict.ragged import RaggedPlaces


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
    """The plain way to weigh places and to mix.

    Where each stream has a list of its own, `weigh_lists` and `mix_lists` do; of all of them, the
    weights are one array (F,), and those of a stream add up to its share.
    """

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

    def weigh_lists(
        self, places: RaggedPlaces, queries: np.ndarray, flatness: float, share: np.ndarray
    ) -> np.ndarray:
        """Weigh places by what streams predict by, queries (S, E), and their shares (S, 1)."""
        lengths, weights = places.lengths, places.likeness(queries)
        weights *= flatness
        held = np.flatnonzero(lengths)
        starts = np.concatenate([[0], lengths.cumsum()[:-1]])[held]
        weights -= np.repeat(np.maximum.reduceat(weights, starts), lengths[held])
        np.exp(weights, out=weights)
        totals = np.add.reduceat(weights, starts)
        weights *= np.repeat(share[held, 0] / totals, lengths[held])
        return weights

    def mix_lists(
        self, probs: np.ndarray, share: np.ndarray, weights: np.ndarray, places: RaggedPlaces
    ) -> np.ndarray:
        """Give (1 - share) p + share p of the cache, for every id, (S, V); share (S, 1)."""
        mixed: np.ndarray = (1 - share) * probs
        streams = np.repeat(np.arange(len(places)), places.lengths)  # (F,)
        np.add.at(mixed.reshape(-1), streams * mixed.shape[1] + places.all_ids, weights)
        return mixed


class NetworkAndCache(MixedPrediction):
    """What a network and its cache, of shares (S, 1), say comes next."""

    def __init__(self, network: Prediction, share: np.ndarray, mixing: NumpyMixing) -> None:
        self._network, self._share, self._mixing = network, share, mixing

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Give log p of one id for each stream, (S,)."""
        if (known := self._of_probs(ids)) is not None:
            return known
        rows = np.arange(len(self._share))
        return self._added(self._network.of(ids), rows, np.asarray(ids))

    def _log_mix(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        return self._added(self._network.log_probs()[rows, ids], rows, ids)

    def _added(self, network: np.ndarray, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Give log((1 - share) e^network + share p of the cache), (n,), as `_cached` takes ids."""
        with np.errstate(divide="ignore"):
            cached = np.log(self._cached(rows, ids))
            logs = np.logaddexp(network + np.log1p(-self._share[rows, 0]), cached)
        return np.asarray(logs, dtype=np.float32)

    @abstractmethod
    def _cached(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Give share p of the cache of some ids (n,) in the streams `rows` (n,)."""


class CachePrediction(NetworkAndCache):
    """Places that all streams share, and a rectangle of their own ones."""

    def __init__(
        self,
        network: Prediction,
        share: np.ndarray,
        weights: Weights,
        held: Held,
        mixing: NumpyMixing,
    ) -> None:
        super().__init__(network, share, mixing)
        self._weights, self._held = weights, held

    def _mix(self) -> np.ndarray:
        probs = probs_of(self._network)
        return self._mixing.mix(probs, self._share, self._weights, self._held)

    def _cached(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        same = self._held.ids[rows] == ids[:, None]
        cached: np.ndarray = (self._weights.own[rows] * same).sum(axis=1)
        if self._held.shared is not None:
            own = self._held.shared.ids
            place = np.minimum(np.searchsorted(own, ids), len(own) - 1)
            cached += self._weights.sums[rows, place] * (own[place] == ids)
        return np.asarray(self._share[rows, 0] * cached)


class RaggedCachePrediction(NetworkAndCache):
    """A list of places for each stream.

    weights: (F,) of all places, those of a stream add up to its share
    """

    def __init__(
        self,
        network: Prediction,
        share: np.ndarray,
        weights: np.ndarray,
        places: RaggedPlaces,
        mixing: NumpyMixing,
    ) -> None:
        super().__init__(network, share, mixing)
        self._weights, self._places = weights, places

    def _mix(self) -> np.ndarray:
        probs = probs_of(self._network)
        return self._mixing.mix_lists(probs, self._share, self._weights, self._places)

    def _cached(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        cached = np.zeros(len(ids), np.float32)
        all_ids, lengths = self._places.all_ids, self._places.lengths
        ends = lengths.cumsum()
        for number, (row, token) in enumerate(zip(rows.tolist(), ids.tolist(), strict=True)):
            own = slice(ends[row] - lengths[row], ends[row])
            cached[number] = self._weights[own][all_ids[own] == token].sum()
        return cached
