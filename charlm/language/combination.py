"""Which predictors a model has, by name, and which combination of them is best.

network is the trained network, counts the n-grams of its training text, network+counts their
mixture, and best the one of these that predicts the reserve best: the training text's last part,
which neither of them had seen then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from charlm.errors import ModelError, UsageError
from charlm.options import did_you_mean
from charlm.predict.mixture import MixturePredictor, fit_weights
from charlm.predict.ngram import NgramPredictor
from charlm.predict.predictor import Predictor

NETWORK, COUNTS, MIXTURE, BEST = "network", "counts", "network+counts", "best"
NAMES = (NETWORK, COUNTS, MIXTURE, BEST)
EVEN = 0.5  # the network's share where there was no text to find a better one


@dataclass(frozen=True)
class Combination:
    """What was found on the reserve.

    share:           of the network in the mixture, from 0 to 1
    best:            the name of the best
    nats_per_token:  of each by name; empty where there was no reserve
    reserve:         tokens of it
    """

    share: float = EVEN
    best: str = NETWORK
    nats_per_token: dict[str, float] = field(default_factory=dict)
    reserve: int = 0


def combine(network: Predictor, counts: NgramPredictor, reserve: np.ndarray) -> Combination:
    """Find the best mixture on the reserve, (N,) ids, and whether it is better than its parts."""
    if not len(reserve):
        return Combination()
    ids = reserve[None].astype(np.int64)
    nats = np.stack([part.score(ids, part.start(1))[0][0] for part in (network, counts)], axis=1)
    weights = fit_weights(-nats, np.zeros(len(reserve), dtype=np.int64), 1)[0]
    mixed = -np.log((np.exp(-nats.astype(np.float64)) * weights).sum(axis=1))
    costs = [*nats.mean(axis=0, dtype=np.float64).tolist(), float(mixed.mean())]
    found = dict(zip((NETWORK, COUNTS, MIXTURE), costs, strict=True))
    best = min(found, key=found.__getitem__)
    return Combination(round(float(weights[0]), 4), best, found, len(reserve))


def mixture(network: Predictor, counts: Predictor, combination: Combination) -> MixturePredictor:
    """Mix a model's network and counts as was found to be best."""
    share = combination.share
    return MixturePredictor([network, counts], np.array([[share, 1 - share]]))


def read_combination(config: Mapping[str, Any]) -> Combination | None:
    """Give what config.json tells of it; None for a model without counts."""
    value = config.get("combination")
    if value is None:
        return None
    try:
        found = Combination(**value)
        known = found.best in (NETWORK, COUNTS, MIXTURE) and 0 <= found.share <= 1
    except TypeError:
        known = False
    if not known:
        raise ModelError("config.json: 'combination' is not one of network and counts")
    return found


def check_name(name: str, combination: Combination | None) -> str:
    """Turn a name into that of a predictor which the model has; raise UsageError for another."""
    if name not in NAMES:
        hint = did_you_mean(name, NAMES) or f"there are {', '.join(NAMES)}"
        raise UsageError(f"there is no predictor '{name}'", hint)
    if combination is None:
        if name in (NETWORK, BEST):
            return NETWORK
        raise UsageError(f"this model has no counts, and so no predictor '{name}'")
    return combination.best if name == BEST else name
