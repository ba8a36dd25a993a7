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
    ids = np.empty(len(first), dtype=np.int64)
    for row, share in enumerate(np.asarray(noise).tolist()):

        def inside(number: int, row: int = row) -> np.ndarray:
            logs = opened(number, np.array([row]))[0]
            return np.asarray(np.exp((logs - most[row]) / temperature).cumsum(dtype=np.float64))

        regions = _Regions(cumulated[row], of_clusters[row], spread, inside)
        region, place = regions.draw(share)
        ids[row] = starts[region] + place
    return ids


class _Regions:
    """The shortlist and the clusters of one stream, and what is known of their weights.

    words:    cumulated weights of the shortlist's words
    clusters: weight of each cluster, if it were one word
    spread:   factor of that, if it were spread evenly
    inside:   gives the cumulated weights of a cluster's words
    """

    def __init__(
        self,
        words: np.ndarray,
        clusters: list[float],
        spread: list[float],
        inside: Callable[[int], np.ndarray],
    ) -> None:
        self._inside = inside
        self._words: dict[int, np.ndarray] = {0: words}
        known = float(words[-1])
        ends = [(one, one * even) for one, even in zip(clusters, spread, strict=True)]
        self._least = [known, *map(min, ends)]
        self._most = [known, *map(max, ends)]

    def draw(self, noise: float) -> tuple[int, int]:
        """Give the region into which the noise falls, and the place in it."""
        while True:
            region = next(r for r in range(len(self._least)) if self._left(noise, r + 1)[1] < 0)
            low, high = self._left(noise, region)
            if region and low < 0:
                self._open(self._worst())
            elif region not in self._words:
                self._open(region)
            else:
                words = self._words[region]
                place = place_in(words, low)
                if place == place_in(words, high):
                    return region, place
                self._open(self._worst())

    def _left(self, noise: float, region: int) -> tuple[float, float]:
        """Bound what is left of the aim where a region begins: noise · total - all before it."""
        low = high = 0.0
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

    def _open(self, region: int) -> None:
        words = self._words[region] = self._inside(region - 1)
        self._least[region] = self._most[region] = float(words[-1])
