"""score.json of a trial: what the stretches of the held-out text cost it, to compare two in pairs.

The nats of both are summed over the same stretches, and these are resampled, as `charlm compare`
does: what is hard for one network is mostly hard for the other.
"""

from pathlib import Path

import numpy as np

from charlm import storage
from charlm.errors import ModelError
from charlm.evaluation.bootstrap import intervals
from charlm.tuning.objective import Outcome

SCORE = "score.json"


def write_score(directory: Path, outcome: Outcome) -> None:
    """Write what a trial's score is made of."""
    value = {"score": outcome.score, "costs": outcome.costs, "units": outcome.units}
    storage.write_bytes(directory / SCORE, storage.json_bytes(value))


def paired_interval(first: Path, second: Path) -> tuple[float, float] | None:
    """Give the 95 % interval of the second trial's score less the first's.

    None for texts too short to tell, and where a file is gone or damaged.
    """
    (costs, units), (others, other_units) = _read(first), _read(second)
    count = min(len(units), len(other_units)) - 1  # tokenizers may end a few bytes apart
    if count < 1 or not np.array_equal(units[:count], other_units[:count]):
        return None
    edges = intervals((others[:count] - costs[:count])[:, None], units[:count])
    return None if edges is None else (float(edges[0, 0]), float(edges[0, 1]))


def _read(directory: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        value = storage.read_json(directory / SCORE, ModelError)
        return np.array(value["costs"], np.float64), np.array(value["units"], np.int64)
    except (ModelError, KeyError, TypeError, ValueError):
        return np.zeros(0), np.zeros(0, np.int64)
