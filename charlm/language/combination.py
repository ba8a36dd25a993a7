"""Which predictors a model has, by name, and which combination of them is best.

network is the trained network, counts the n-grams of its training text, cache what was read last;
their names joined by + are mixtures. With +adapt the network goes on learning as it reads. Shares
are found on the reserve: the training text's last part, which none of them had seen then.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from charlm.errors import ModelError, UsageError
from charlm.options import did_you_mean
from charlm.predict.cache import CachedPredictor
from charlm.predict.mixture import MixturePredictor, SideBySide, fit_weights
from charlm.predict.ngram import NgramPredictor
from charlm.predict.places import Places
from charlm.predict.predictor import Network, Predictor

NETWORK, COUNTS, CACHE, ADAPT, BEST = "network", "counts", "cache", "adapt", "best"
PARTS = (NETWORK, COUNTS, CACHE)  # the order in names and weights
NAMES = (NETWORK, COUNTS, "network+counts", "network+cache", "network+counts+cache")  # by cost
ADAPTING = tuple(f"{name}+{ADAPT}" for name in NAMES if NETWORK in name)
GAIN = 0.002  # by which a dearer combination must be better: share of the nats
LEAST = 0.005  # that a part has of a mixture: what one rules out, another may know
WARM_UP = 2_000  # ids of the reserve, or a third, that only fill the cache
READINGS = 3  # that long the whole takes, measured in readings by the network
FIRST_IDS = 1_000  # of it are read to see how long the rest takes
LARGEST = 1e15  # flatness
FLATNESS = (1.0, 2.0, 4.0, 8.0)  # tried, for outputs of mean square 1 / sqrt(E)


@dataclass(frozen=True)
class Combination:
    """What was found on the reserve.

    best:            the name of the best
    weights:         by name, of its parts in the order of PARTS
    flatness:        of the cache
    nats_per_token:  of each by name; empty where there was no reserve, and nothing is tuned
    reserve:         tokens of it that were scored
    """

    best: str = NETWORK
    weights: dict[str, list[float]] = field(default_factory=dict)
    flatness: float = 1.0
    nats_per_token: dict[str, float] = field(default_factory=dict)
    reserve: int = 0

    def row(self, name: str) -> list[float]:
        """Give the weights of all PARTS in a combination, zero for those that are not in it.

        Where an adapting one was not tuned, its shares are those of the same without adapting.
        """
        still = name.removesuffix(f"+{ADAPT}")
        parts = still.split("+")
        even = [1 / len(parts)] * len(parts)
        weights = self.weights.get(name) or self.weights.get(still) or even
        own = dict(zip(parts, weights, strict=True))
        return [own.get(part, 0.0) for part in PARTS]


UNTUNED = Combination(best="network+counts")  # where the text is too short: each has a half


def combine(
    network: Network,
    counts: NgramPredictor,
    reserve: np.ndarray,
    seconds: float = math.inf,
    adapted: Network | None = None,
) -> Combination:
    """Find the weights of all combinations on the reserve, (N,) ids, and which of them is best.

    As many of its ids are read as can be in so many seconds, going by the first thousand. With
    `adapted`, the network as it adapts, the weights of the adapting ones are found as well; but
    none of them is chosen as the best.
    """
    if not len(reserve):
        return UNTUNED
    ids = reserve[None].astype(np.int64)
    if seconds < math.inf:
        began = time.monotonic()
        network.score_with_outputs(ids[:, :FIRST_IDS], network.start(1))
        each = READINGS * (time.monotonic() - began) / FIRST_IDS
        ids = ids[:, : max(FIRST_IDS, int(seconds / each))]
    by_counts = counts.score(ids, counts.start(1))[0][0]
    flatness, columns = _flattest(network, ids, by_counts)
    rows = {name: _fit(columns, name) for name in NAMES}
    costs = {name: _cost(columns, row) for name, row in rows.items()}
    best = NETWORK
    for name in NAMES[1:]:
        if costs[name] < (1 - GAIN) * costs[best]:
            best = name
    if adapted is not None:
        columns = _columns(adapted, ids, by_counts, [flatness])[0]
        own = {name: _fit(columns, name.removesuffix(f"+{ADAPT}")) for name in ADAPTING}
        rows |= own
        costs |= {name: _cost(columns, row) for name, row in own.items()}
    weights = {name: [round(share, 4) for share in row if share] for name, row in rows.items()}
    return Combination(best, weights, flatness, costs, len(columns))


def _flattest(network: Network, ids: np.ndarray, by_counts: np.ndarray) -> tuple[float, np.ndarray]:
    """Find the flatness of the cache that suits the mixture of all; give it and its columns."""
    outputs = network.score_with_outputs(ids[:, :FIRST_IDS], network.start(1))[1]
    scale = float(np.mean(np.square(outputs), dtype=np.float64)) * outputs.shape[2] ** 0.5
    tried = [min(each / max(scale, 1e-30), LARGEST) for each in FLATNESS]
    columns = _columns(network, ids, by_counts, tried)
    costs = [_cost(each, _fit(each, NAMES[-1])) for each in columns]
    return tried[int(np.argmin(costs))], columns[int(np.argmin(costs))]


def _columns(
    network: Network, ids: np.ndarray, by_counts: np.ndarray, flatness: Sequence[float]
) -> list[np.ndarray]:
    """Give the nats of ids (1, N) by all PARTS, (N, 3) float64, for each flatness of the cache.

    The first ids only fill the cache, and are left out.
    """
    first = min(WARM_UP, ids.shape[1] // 3)
    nats, outputs, _ = network.score_with_outputs(ids, network.start(1))
    columns = []
    for each in flatness:
        cache = CachedPredictor(network, 0.5, each)
        by_cache = cache.nats_by_cache(ids, outputs, nats, cache.start(1))
        columns.append(np.stack([nats[0], by_counts, by_cache[0]], axis=1)[first:].astype(float))
    return columns


def predictor_of(
    name: str,
    network: Network,
    counts: NgramPredictor | None,
    found: Combination,
    places: Places | None = None,
) -> Predictor:
    """Make the predictor of a name from the parts that it names; a cache may hold `places`."""
    share, of_counts, of_cache = found.row(name)
    predictor: Predictor = network
    if of_cache:
        own = of_cache / (share + of_cache)
        predictor = CachedPredictor(network, own, found.flatness, places=places)
    if not of_counts:
        return predictor
    assert counts is not None
    if not share and not of_cache:
        return counts
    return MixturePredictor([predictor, counts], np.array([[share + of_cache, of_counts]]))


def side_by_side(
    names: Sequence[str],
    network: Network,
    counts: NgramPredictor | None,
    found: Combination,
    adapted: Network | None = None,
    places: Places | None = None,
) -> SideBySide:
    """Score by all these names at once, each part reading the text once.

    adapted: the network as it adapts, where some of the names ask for it
    places: that the caches hold at the beginning
    """
    rows = np.array([found.row(name) for name in names])  # network, counts, cache
    adapting = np.array([[name.endswith(ADAPT)] for name in names])
    parts: list[Predictor] = [] if counts is None else [counts]
    columns = [rows[:, 1 : 1 + len(parts)]]
    for reader, own in ((network, rows * ~adapting), (adapted, rows * adapting)):
        if reader is None:
            continue
        cached = bool(own[:, 2].any())
        with_cache = CachedPredictor(reader, 0.5, found.flatness, places=places)
        parts.append(with_cache if cached else reader)
        columns.append(own[:, [0, 2] if cached else [0]])
    return SideBySide(parts, np.concatenate(columns, axis=1))


def names_shown(asked: str, found: Combination | None) -> list[str]:
    """Give the names whose scores are shown: those with a cache where it is the best, or asked.

    Where an adapting one is asked for, those that adapt are shown too.
    """
    adapts = asked.endswith(ADAPT)
    if found is None:
        return [NETWORK, ADAPTING[0]] if adapts else [NETWORK]
    cached = any(CACHE in name for name in (asked, found.best))
    return [name for name in (NAMES + ADAPTING if adapts else NAMES) if cached or CACHE not in name]


def read_combination(config: Mapping[str, Any]) -> Combination | None:
    """Give what config.json tells of it; None for a model without counts."""
    value = config.get("combination")
    if value is None:
        return None
    try:
        found = Combination(**value)
        rows = [found.row(name) for name in NAMES + ADAPTING]
        numbers = [*(share for row in rows for share in row), found.flatness]
        numbers += [*found.nats_per_token.values(), found.reserve]
        known = all(type(number) in (int, float) and 0 <= number <= LARGEST for number in numbers)
        known = known and found.best in NAMES
        known = known and all(abs(sum(row) - 1) < 0.01 for row in rows)
        known = known and all(row[0] > 0 for row in rows if row[2])  # the cache alone is none
    except (TypeError, ValueError, AttributeError, ArithmeticError):
        known = False
    if not known:
        raise ModelError("config.json: 'combination' is none of network, counts and cache")
    return found


def check_name(name: str, combination: Combination | None) -> str:
    """Turn a name into that of a predictor which the model has; raise UsageError for another."""
    best = NETWORK if combination is None else combination.best
    given = name.split("+")
    if ADAPT in given and best == COUNTS:  # counts do not adapt
        best = NAMES[2]
    given = [part for each in given for part in (best.split("+") if each == BEST else [each])]
    whole = "+".join(part for part in (*PARTS, ADAPT) if part in given)
    if whole not in NAMES + ADAPTING or len(given) != len(whole.split("+")):
        hint = did_you_mean(name, (*NAMES, *ADAPTING, BEST))
        known = f"there are {', '.join(NAMES)} and {BEST}, each with +{ADAPT} if it has a network"
        raise UsageError(f"there is no predictor '{name}'", hint or known)
    if combination is None and (COUNTS in given or CACHE in given):
        raise UsageError(f"this model has no counts, and so no predictor '{name}'")
    return whole


def _fit(columns: np.ndarray, name: str) -> list[float]:
    """Find the weights of all PARTS, zero for those not in the name; columns (N, 3) nats."""
    places = [PARTS.index(part) for part in name.split("+")]
    nothing = np.zeros(len(columns), dtype=np.int64)
    own = np.maximum(fit_weights(-columns[:, places], nothing, 1)[0], LEAST)
    weights = np.zeros(len(PARTS))
    weights[places] = own / own.sum()
    return [float(share) for share in weights]


def _cost(columns: np.ndarray, weights: Sequence[float]) -> float:
    """Give the mean nats of a mixture."""
    return float(-np.log(np.exp(-columns) @ np.array(weights)).mean())
