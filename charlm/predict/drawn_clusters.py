"""Drawing from a softmax in two levels by a temperature, opening no cluster that need not be.

The cumulated distribution runs over the shortlist's words, then the clusters'. At temperature t a
word's weight is p^(1/t). That of a cluster with n words and probability P is P at t = 1; else it
lies between P^(1/t), all of it on one word, and n^(1 - 1/t) P^(1/t), spread evenly (Jensen). So
where the aim falls is known up to an interval. While that holds the borders of words, another
cluster is opened: the one it falls into, or the one whose weight is known worst.
Legend: S streams, c0 size of the shortlist, K clusters. The shortlist is region 0, the clusters are
regions 1 to K.
"""

from collections.abc import Callable, Sequence

import numpy as np

from charlm.predict.drawing import place_in

Open = Callable[[int, np.ndarray], np.ndarray]


def draw_from_clusters(
    first: np.ndarray,
    bounds: Sequence[tuple[int, int]],
    opened: Open,
    temperature: float,
    noise: np.ndarray,
) -> np.ndarray:
    """Draw an id for each stream, (S,).

    first:  log p of the first level's choices, (S, c0 + K)
    bounds: of each cluster, its first id and the one after its last
    opened: gives log p of a cluster's words in the n streams of an index (n,)
    """
    most = first.max(axis=1)
    weights = np.exp((first - most[:, None]) / first.dtype.type(temperature))
    starts = [0, *(start for start, _ in bounds)]
    spread = [float(end - start) ** (1 - 1 / temperature) for start, end in bounds]
    cumulated = weights[:, : starts[1]].cumsum(axis=1, dtype=np.float64)
    of_clusters = weights[:, starts[1] :].tolist()
    streams = [
        _Regions(share, words, clusters, spread)
        for share, words, clusters in zip(
            np.asarray(noise).tolist(), cumulated, of_clusters, strict=True
        )
    ]
    while wanted := _wanted(streams):
        for region, rows in wanted.items():  # what several need is opened for all of them at once
            logs = opened(region - 1, np.array(rows))
            words = np.exp((logs - most[rows, None]) / logs.dtype.type(temperature))
            for row, own in zip(rows, words.cumsum(axis=1, dtype=np.float64), strict=True):
                streams[row].open(region, own)
    return np.array([starts[each.region] + each.place for each in streams], dtype=np.int64)


def _wanted(streams: Sequence["_Regions"]) -> dict[int, list[int]]:
    """Give the streams that cannot choose yet, by the region that each has to see first."""
    wanted: dict[int, list[int]] = {}
    for row, each in enumerate(streams):
        if each.place < 0 and (region := each.choose()):
            wanted.setdefault(region, []).append(row)
    return wanted


class _Regions:
    """The shortlist and the clusters of one stream, and what is known of their weights.

    noise:    share of the whole weight at which the choice falls
    words:    cumulated weights of the shortlist's words
    clusters: weight of each cluster, if it were one word
    spread:   factor of that, if it were spread evenly
    region, place: what was chosen, once it is; until then the place is -1
    """

    def __init__(
        self, noise: float, words: np.ndarray, clusters: list[float], spread: list[float]
    ) -> None:
        self.region, self.place = 0, -1
        self._noise, self._words = noise, {0: words}
        known = float(words[-1])
        ends = [(one, one * even) for one, even in zip(clusters, spread, strict=True)]
        self._least = [known, *map(min, ends)]
        self._most = [known, *map(max, ends)]

    def choose(self) -> int:
        """Choose, if enough is known; else give the region to be opened."""
        region = next(r for r in range(len(self._least)) if self._left(r + 1)[1] < 0)
        low, high = self._left(region)
        if region and low < 0:
            return self._worst()
        if region not in self._words:
            return region
        words = self._words[region]
        place = place_in(words, low)
        if place != place_in(words, high):
            return self._worst()
        self.region, self.place = region, place
        return 0

    def open(self, region: int, words: np.ndarray) -> None:
        """Learn the cumulated weights of a region's words."""
        self._words[region] = words
        self._least[region] = self._most[region] = float(words[-1])

    def _left(self, region: int) -> tuple[float, float]:
        """Bound what is left of the aim where a region begins: noise · total - all before it."""
        low, high, noise = 0.0, 0.0, self._noise
        for number, (least, most) in enumerate(zip(self._least, self._most, strict=True)):
            if number < region:
                low, high = low - (1 - noise) * most, high - (1 - noise) * least
            else:
                low, high = low + noise * least, high + noise * most
        return low, high

    def _worst(self) -> int:
        """Give the closed region whose weight is known worst."""
        closed = [number for number in range(len(self._least)) if number not in self._words]
        return max(closed, key=lambda number: self._most[number] - self._least[number])
