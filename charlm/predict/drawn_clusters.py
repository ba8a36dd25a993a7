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

from charlm.predict.drawing import Cumulated

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
    if len(first) == 1:
        return np.array([_draw_one(first[0], bounds, opened, temperature, float(noise[0]))])
    most = first.max(axis=1)
    weights = np.exp((first - most[:, None]) / first.dtype.type(temperature))
    starts = np.array([0, *(start for start, _ in bounds)])
    spread = [float(end - start) ** (1 - 1 / temperature) for start, end in bounds]
    regions = _Regions(np.asarray(noise), weights, int(starts[1]), np.array(spread))
    while wanted := regions.choose():
        for region, rows in wanted.items():  # what several need is opened for all of them at once
            logs = opened(region - 1, rows)
            logs = (logs - most[rows, None]) / logs.dtype.type(temperature)
            regions.open(region, rows, np.exp(logs, out=logs))
    return np.asarray(starts[regions.chosen] + regions.places)


def _draw_one(
    first: np.ndarray,
    bounds: Sequence[tuple[int, int]],
    opened: Open,
    temperature: float,
    noise: float,
) -> int:
    """Draw an id for one stream, by log p (c0 + K,): with numbers, a third of what arrays take."""
    most, heat, shortlist = first.max(), first.dtype.type(temperature), bounds[0][0]
    weights = np.exp((first - most) / heat)
    sums = {0: np.cumsum(weights[:shortlist], dtype=np.float64)}  # of regions that are open
    least = [float(sums[0][-1])]
    highest = least.copy()
    for weight, (start, end) in zip(weights[shortlist:].tolist(), bounds, strict=True):
        spread = weight * float(end - start) ** (1 - 1 / temperature)
        least.append(min(weight, spread))
        highest.append(max(weight, spread))
    while True:
        low, high = _left(noise, least, highest), _left(noise, highest, least)
        region = next(number for number, left in enumerate(high[1:]) if left < 0)
        sure = region == 0 or low[region] >= 0
        if sure and region in sums:
            places = {_place(sums[region], left[region]) for left in (low, high)}
            if len(places) == 1:
                return (bounds[region - 1][0] if region else 0) + places.pop()
            sure = False
        if not sure:  # the one of which least is known
            closed = [number for number in range(1, len(least)) if number not in sums]
            region = max(closed, key=lambda number: highest[number] - least[number])
        logs = opened(region - 1, np.array([0]))[0]
        sums[region] = np.cumsum(np.exp((logs - most) / heat), dtype=np.float64)
        least[region] = highest[region] = float(sums[region][-1])


def _left(noise: float, after: Sequence[float], before: Sequence[float]) -> list[float]:
    """Bound what is left of the aim where each region begins, and at the end.

    It is noise · total - all before it, by the weights of what comes after and what came before.
    """
    behind, passed, left = sum(after), 0.0, list[float]()
    for coming, gone in zip(after, before, strict=True):
        left.append(noise * behind - (1 - noise) * passed)
        behind, passed = behind - coming, passed + gone
    return [*left, -(1 - noise) * passed]


def _place(sums: np.ndarray, aim: float) -> int:
    """Give the place at which cumulated weights pass an aim; the last for one beyond all."""
    below = np.nextafter(sums[-1], 0.0)
    return int(sums.searchsorted(min(max(aim, 0.0), below), side="right"))


class _Regions:
    """The shortlist and the clusters of S streams, and what is known of their weights.

    noise:   share of the whole weight at which the choice falls, (S,)
    weights: of the shortlist's words and of each cluster, if it were one word, (S, c0 + K)
    spread:  factor of a cluster's weight, if it were spread evenly, (K,)
    chosen, places: the region of each stream and the place in it, (S,), once these are found
    """

    def __init__(
        self, noise: np.ndarray, weights: np.ndarray, shortlist: int, spread: np.ndarray
    ) -> None:
        streams = len(noise)
        words = Cumulated(weights[:, :shortlist])
        everyone, known = np.arange(streams), words.totals[:, None]
        self._noise = noise
        # of a region: who opened it first, who later, ..., each in order
        self._opened: dict[int, list[tuple[np.ndarray, Cumulated]]] = {0: [(everyone, words)]}
        ends = weights[:, shortlist:].astype(np.float64)
        self._least = np.concatenate([known, np.minimum(ends, ends * spread)], axis=1)  # (S, 1 + K)
        self._most = np.concatenate([known, np.maximum(ends, ends * spread)], axis=1)
        self._is_open = np.zeros(self._least.shape, dtype=bool)
        self._is_open[:, 0] = True
        self._waiting = everyone
        self.chosen, self.places = np.zeros(streams, np.int64), np.zeros(streams, np.int64)

    def choose(self) -> dict[int, np.ndarray]:
        """Choose for who can; give the other streams by the region that each has to see first."""
        rows = self._waiting
        low, high = self._left(rows)
        numbers = np.arange(len(rows))
        region = np.argmax(high[:, 1:] < 0, axis=1)
        low, high = low[numbers, region], high[numbers, region]
        wanted = np.where((region > 0) & (low < 0), -1, 0)  # -1: that of which least is known
        closed = (wanted == 0) & ~self._is_open[rows, region]
        wanted[closed] = region[closed]
        for number in np.unique(region[wanted == 0]).tolist():
            at = np.flatnonzero((wanted == 0) & (region == number))
            ends = np.concatenate([low[at], high[at]])
            places, last = np.split(self._places(number, np.tile(rows[at], 2), ends), 2)
            sure = places == last
            wanted[at[~sure]] = -1
            self.chosen[rows[at[sure]]], self.places[rows[at[sure]]] = number, places[sure]
        unsure = wanted < 0
        wanted[unsure] = self._worst(rows[unsure])
        self._waiting = rows[wanted > 0]
        return {each: rows[wanted == each] for each in np.unique(wanted[wanted > 0]).tolist()}

    def open(self, region: int, rows: np.ndarray, weights: np.ndarray) -> None:
        """Learn the weights of a region's words in some streams, (n, words)."""
        words = Cumulated(weights)
        self._opened.setdefault(region, []).append((rows, words))
        self._least[rows, region] = self._most[rows, region] = words.totals
        self._is_open[rows, region] = True

    def _places(self, region: int, rows: np.ndarray, aims: np.ndarray) -> np.ndarray:
        """Give the places at which the weights of a region that is open pass aims (n,)."""
        found = np.zeros(len(rows), dtype=np.int64)
        for own, words in self._opened[region]:
            at = np.minimum(np.searchsorted(own, rows), len(own) - 1)
            mine = own[at] == rows
            found[mine] = words.places(at[mine], aims[mine])
        return found

    def _left(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bound what is left of the aim where each region begins, and at the end, (n, 2 + K).

        It is noise · total - all before it.
        """
        noise, none = self._noise[rows, None], np.zeros((len(rows), 1))
        least, most = self._least[rows], self._most[rows]

        def bound(after: np.ndarray, before: np.ndarray) -> np.ndarray:
            behind = np.cumsum(after[:, ::-1], axis=1)[:, ::-1]
            passed = np.cumsum(before, axis=1)
            left = noise * np.concatenate([behind, none], axis=1)
            return np.asarray(left - (1 - noise) * np.concatenate([none, passed], axis=1))

        return bound(least, most), bound(most, least)

    def _worst(self, rows: np.ndarray) -> np.ndarray:
        """Give the closed regions whose weights are known worst, (n,)."""
        unknown = np.where(self._is_open[rows], -1.0, self._most[rows] - self._least[rows])
        return np.asarray(unknown.argmax(axis=1))
