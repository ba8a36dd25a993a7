"""One trial of a series model: trained as `charlm series train` does, scored on held-out rows.

Each of the rows to steer by is predicted after all rows before it, and its error in the series' own
units divided by the mean absolute change over a season of the training part: MASE (Hyndman &
Koehler 2006) for heads of points, the CRPS by the same measure for heads of distributions. So
trials compare whatever their scaling. What lies behind these rows is not read.
Legend: L rows, N rows scored, C columns, K numbers of the head, Q levels.
"""

import math
from pathlib import Path
from typing import TextIO

import numpy as np

from charlm import storage
from charlm.errors import DivergedError
from charlm.runs.dialogue import Stop
from charlm.runs.place import CHECKPOINTS
from charlm.series.crps import LEVELS, crps
from charlm.series.judging import AT_A_TIME, CONTEXT, mase_scale, values_at
from charlm.series.plan import SeriesPlan
from charlm.series.request import SeriesRequest
from charlm.series.rollout import Roller
from charlm.series.run import Run
from charlm.series.table import Table
from charlm.training.memory import memory_errors
from charlm.training.precision import choose_device
from charlm.tuning.objective import Outcome, Report
from charlm.tuning.plan import threads_as_before

STRETCHES = 1_024  # of rows, at most, over which two trials are compared


class SteeringScore:
    """The error of a network on the rows to steer by, in a unit that all trials share."""

    def __init__(self, plan: SeriesPlan, table: Table, roller: Roller) -> None:
        """Take the series up to the end of these rows, and no further."""
        first, end = plan.parts.train, plan.parts.valid
        start = max(0, first - CONTEXT)
        self._roller = roller
        seen = table.rows(0, end)
        self._rows = roller.features.rows(seen, roller.scaling)[start:]
        self._filled = seen.filled()[start:]
        self._before = np.arange(first - 1, end - 1) - start
        self._truth = seen.values[first:]  # (N, C)
        self._scale = mase_scale(seen.values[:first], plan.season)

    def errors(self) -> np.ndarray:
        """Give the error of each value, (N, C); NaN where it is missing."""
        network = self._roller.network
        training = network.training
        outputs, _ = self._roller.read(self._rows, self._filled, self._before[-1:])
        network.train(training)
        outputs, before = outputs[self._before], self._filled[self._before]
        if network.kind.points:
            points = self._roller.scaling.decode(self._roller.points(outputs), before)
            return np.asarray(np.abs(self._truth - points) / self._scale)
        pieces = [slice(a, a + AT_A_TIME) for a in range(0, len(outputs), AT_A_TIME)]
        return np.concatenate(
            [self._crps(outputs[each], before[each], self._truth[each]) for each in pieces]
        )

    def _crps(self, outputs: np.ndarray, before: np.ndarray, truth: np.ndarray) -> np.ndarray:
        levels = [values_at(self._roller, outputs, before, float(level)) for level in LEVELS]
        return np.asarray(crps(np.stack(levels, axis=-1), truth) / self._scale)

    def mean(self) -> float:
        """Give the mean error of all values that are known."""
        errors = self.errors()
        return float(errors[np.isfinite(self._truth)].mean())

    def outcome(self) -> tuple[list[float], list[int]]:
        """Give the sum of errors and the number of known values of each stretch of rows."""
        known = np.isfinite(self._truth)
        costs = np.where(known, self.errors(), 0.0).sum(axis=1)
        units, some = known.sum(axis=1), known.any(axis=1)
        costs, units = costs[some], units[some]
        starts = np.arange(0, len(units), -(-len(units) // STRETCHES))
        return np.add.reduceat(costs, starts).tolist(), np.add.reduceat(units, starts).tolist()


def train_trial(
    source: str,
    request: SeriesRequest,
    table: Table,
    directory: Path,
    report: Report,
    stop: Stop,
    stream: TextIO | None,
) -> Outcome | None:
    """Train and score; None where it was asked to stop. Raises what `Trainer.fit` raises."""
    with memory_errors("training"), threads_as_before():
        run = Run(directory, source, request, table, choose_device(request.device))
        features, scaling = run.plan.network.features, run.plan.scaling
        score = SteeringScore(run.plan, table, Roller(run.network, features, scaling))

        def validated(share: float, loss: float) -> None:
            report(share, score.mean())  # the loss itself is in units of the trial's own scaling

        state = run.train(stream, stop, lambda line: None, validated)
        storage.remove_directory(directory / CHECKPOINTS)
        if state.stopped_by == "request":
            return None
        costs, units = score.outcome()
    found = sum(costs) / sum(units)
    if not math.isfinite(found):
        raise DivergedError("the trained network's forecasts are not finite")

    def keep() -> None:
        run.save(state, None, finished=True)

    return Outcome(found, costs, units, keep)
