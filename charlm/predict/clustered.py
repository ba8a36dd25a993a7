"""The prediction of a softmax in two levels: it opens only the clusters that an answer needs.

The first level chooses among the words of a shortlist and K clusters, the second among the words of
a cluster. Legend: S streams, V vocabulary, c0 size of the shortlist, K clusters.
"""

from collections.abc import Callable, Sequence

import numpy as np

from charlm.predict.drawing import COLDEST, TINY, UNCHANGED, Only, aimed, largest, only
from charlm.predict.drawn_clusters import draw_from_clusters
from charlm.predict.kept import kept
from charlm.predict.predictor import DensePrediction, Rules

Inside = Callable[[int, np.ndarray], np.ndarray]


class ClusteredPrediction:
    """A prediction that knows log p of the shortlist's words and of each cluster.

    first:  gives log p of the first level's choices, (S, c0 + K); asked once, when it is needed
    bounds: of each cluster, its first id and the one after its last
    inside: gives log p of a cluster's words, given the cluster, in the n streams of an index (n,),
            in fresh memory
    shares: gives p of every id, (S, V), where that takes less than their logarithms do
    small:  whether that takes less than to choose what to open
    """

    def __init__(
        self,
        first: Callable[[], np.ndarray],
        bounds: Sequence[tuple[int, int]],
        inside: Inside,
        shares: Callable[[], np.ndarray] | None = None,
        small: bool = False,
    ) -> None:
        self._make_first, self._bounds, self._inside = first, bounds, inside
        self._shares, self._small = shares, small
        self._shortlist = bounds[0][0]
        self._whole: DensePrediction | None = None
        self._clusters: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # streams, their log p

    @kept
    def _first(self) -> np.ndarray:
        return self._make_first()

    @kept
    def probs(self) -> np.ndarray:
        """P of every id, (S, V)."""
        if self._shares is None or self._whole is not None:
            return np.asarray(np.exp(self.log_probs()))
        return self._shares()

    def log_probs(self) -> np.ndarray:
        """Give log p of every id, (S, V)."""
        return self._opened().log_probs()

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Give log p of one id for each stream, (S,); opens the ids' clusters."""
        if self._whole is not None:
            return self._whole.of(ids)
        ids = np.asarray(ids)
        if "probs" in self.__dict__:
            own = self.probs[np.arange(len(ids)), ids]
            if own.min(initial=1) >= TINY:
                return np.asarray(np.log(own))
        short = np.minimum(ids, self._shortlist - 1)  # what is beyond it is overwritten
        found = DensePrediction(self._first).of(short)
        for number, (start, end) in enumerate(self._bounds):
            rows = np.flatnonzero((ids >= start) & (ids < end))
            if len(rows):
                found[rows] = DensePrediction(self._open(number, rows)).of(ids[rows] - start)
        return found

    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Give the k most probable ids and their log p, both (S, k), most probable first.

        No word is more probable than its cluster: one that is less probable than k words stays
        closed.
        """
        if self._whole is not None:
            return self._whole.top(k)
        ids, logs = np.arange(self._shortlist), self._first[:, : self._shortlist]
        everyone = np.arange(len(logs))
        for number, (start, end) in enumerate(self._bounds):
            of_cluster = self._first[:, self._shortlist + number]
            least = largest(logs, k)[1][:, -1]
            if logs.shape[1] < k or (of_cluster > least).any():
                ids = np.concatenate([ids, np.arange(start, end)])
                logs = np.concatenate([logs, self._open(number, everyone)], axis=1)
        places, values = largest(logs, k)
        return ids[places], values

    def draw(self, rules: Rules, noise: np.ndarray) -> np.ndarray:
        """Choose one id for each stream.

        Rules that look at all ids have all clusters opened; a temperature and a top-k alone, those
        on which the choice depends.
        """
        alone = only(rules)
        if alone is None or self._whole is not None:
            return self._opened().draw(rules, noise)
        temperature, k = alone
        if temperature < COLDEST or k == 1:
            return self.top(1)[0][:, 0]
        if self._small:
            return (
                aimed(self.probs, noise)
                if alone == UNCHANGED
                else self._opened().draw(rules, noise)
            )
        if not 0 < k < self._bounds[-1][1]:
            return draw_from_clusters(self._first, self._bounds, self._open, temperature, noise)
        return self._draw_of_best(alone, noise)

    def _draw_of_best(self, alone: Only, noise: np.ndarray) -> np.ndarray:
        """Draw from the k most probable, in the order of their ids."""
        temperature, k = alone
        ids, logs = self.top(k)
        order = np.argsort(ids, axis=1)
        weights = np.take_along_axis(np.exp((logs - logs[:, :1]) / temperature), order, axis=1)
        places = np.take_along_axis(order, aimed(weights, noise)[:, None], axis=1)
        return np.asarray(np.take_along_axis(ids, places, axis=1)[:, 0])

    def _open(self, number: int, rows: np.ndarray) -> np.ndarray:
        """Give log p of a cluster's words in some streams, in order, (n,).

        What was opened for most streams is kept: whose word was drawn, its log p is asked for next.
        """
        known, logs = self._clusters.get(number, (rows[:0], self._first))
        at = np.searchsorted(known, rows)
        if len(known) >= len(rows) and (known.take(at, mode="clip") == rows).all():
            return np.asarray(logs[at])
        logs = self._inside(number, rows)
        logs += self._first[rows, self._shortlist + number, None]
        if len(rows) > len(known):
            self._clusters[number] = rows, logs
        return logs

    def _opened(self) -> DensePrediction:
        """Open every cluster, once."""
        if self._whole is None:
            everyone = np.arange(len(self._first))
            opened = [self._open(number, everyone) for number in range(len(self._bounds))]
            logs = np.concatenate([self._first[:, : self._shortlist], *opened], axis=1)
            self._whole = DensePrediction(logs)
        return self._whole
