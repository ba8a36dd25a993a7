"""The model that people hold: a trained series network with its series, scaling and scores."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from charlm.errors import CorpusError, UsageError
from charlm.series.clock import Clock, insert_missing_rows
from charlm.series.columns import Asked
from charlm.series.directory import SeriesFiles, read_series_model
from charlm.series.forecast import Forecast
from charlm.series.judging import Scores, Subject, judge, mase_scale
from charlm.series.network import SeriesNetwork
from charlm.series.reading import read_series, series_from
from charlm.series.rollout import Origins, Roller
from charlm.series.scaling import check_scalable
from charlm.series.table import Table
from charlm.training.precision import choose_device

PATHS = 1_000  # drawn for a band
MOST_HORIZON = 100_000
LEAST_PATHS = 100
MOST_NUMBERS = 10_000_000  # that are drawn: paths, rows and columns
LEVELS = (0.1, 0.9)
CONTEXT = 10_000  # rows read before a forecast


class SeriesModel:
    """A trained model of a numeric series; what it predicts follows the end of that series."""

    def __init__(self, files: SeriesFiles, device: str = "cpu") -> None:
        self.directory = files.directory
        self.config = files.config
        self.table = files.table
        with torch.device("meta"):
            network = SeriesNetwork(files.network)
        weights = {name: torch.from_numpy(array) for name, array in files.weights.items()}
        network.load_state_dict(weights, assign=True)
        network = network.to(choose_device(device))
        network.eval()
        self._features = files.network.features
        self._roller = Roller(network, self._features, files.scaling)

    def evaluate(
        self,
        data: Any = None,  # noqa: ANN401
        *,
        horizon: int | None = None,
    ) -> Scores:
        """Judge the model: on the rows that were kept back for it, or on another series.

        data:    a path, an array or a data frame with the model's columns; without it the series
                 that the model was made from, behind the part that it learned from. Rows of times
                 that were learned from are read, but not judged; without times all are judged
        horizon: rows ahead of the closed loops
        Raises CorpusError where there is nothing to judge it on.
        """
        horizon = self.config["horizon"] if horizon is None else horizon
        _check_horizon(horizon)
        parts = self.config["parts"]
        if data is None:
            if parts["valid"] == parts["total"]:
                raise CorpusError(
                    "no rows were kept back to judge the model on: --test was 0",
                    "pass a file with other rows",
                )
            return self._judge(self.table, parts["valid"], horizon)
        other = self.read(data)
        whole, first = _behind(self.table, parts["valid"], other)
        first = max(first, 1, self._features.lag)
        if first >= len(whole):
            raise CorpusError(
                f"there are {len(other)} rows, too few to judge the model on",
                f"it reads {first} before the first that it predicts",
            )
        return self._judge(whole, first, horizon)

    def forecast(
        self,
        horizon: int,
        *,
        data: Any = None,  # noqa: ANN401
        samples: int = 0,
        levels: Sequence[float] | None = None,
        seed: int = 1,
    ) -> Forecast:
        """Say how the series goes on, `horizon` rows ahead.

        data:    the rows to go on from, instead of the model's own series
        samples: ways it might go that are given, too
        levels:  of the quantiles (LEVELS without any), made of PATHS ways; of distributions only
        Raises UsageError for what cannot be, CorpusError for data without the model's columns.
        """
        _check_horizon(horizon)
        points = self._roller.network.kind.points
        if points and (samples or levels):
            raise UsageError(
                "this model predicts points: it has no samples and no quantiles",
                "train with --head quantiles or --head gaussian",
            )
        levels = LEVELS if levels is None else levels
        if any(not 0 < level < 1 for level in levels):
            raise UsageError("levels of quantiles lie between 0 and 1, such as 0.1,0.9")
        table = self.table if data is None else self.read(data)
        origin = self._end_of(table)
        drawn = self._draw(origin, horizon, 0 if points else self._paths(samples, horizon), seed)
        if points:
            path = self._roller.roll(origin, horizon, self._roller.points)[0]
        else:
            path = np.median(drawn, axis=0)
        asked = () if points else tuple(levels)
        quantiles = np.moveaxis(np.quantile(drawn, asked, axis=0), 0, -1) if asked else drawn[:0]
        clock = table.clock
        numbers = [f"+{number + 1}" for number in range(horizon)]
        return Forecast(
            times=tuple(numbers if clock is None else clock.following(horizon)),
            names=table.names,
            points=path,
            levels=asked,
            quantiles=quantiles,
            samples=drawn[:samples],
        )

    def _paths(self, samples: int, horizon: int) -> int:
        """Choose how many ways are drawn; raise UsageError for more than fit into memory."""
        most = MOST_NUMBERS // (horizon * len(self.table.names))
        if most < max(samples, LEAST_PATHS):
            raise UsageError(
                f"{max(samples, LEAST_PATHS):,} ways of {horizon:,} rows and "
                f"{len(self.table.names):,} columns are too many",
                "ask for a shorter --horizon, or fewer --samples",
            )
        return max(samples, min(PATHS, most))

    def _draw(self, origin: Origins, horizon: int, paths: int, seed: int) -> np.ndarray:
        """Draw ways the series might go, (S, H, C)."""
        if not paths:
            return np.zeros((0, horizon, len(self.table.names)))
        generator = np.random.default_rng(seed)
        return self._roller.draw(origin, horizon, paths, generator)[:, 0]

    def _end_of(self, table: Table) -> Origins:
        table = table.rows(max(0, len(table) - CONTEXT))
        rows = self._features.rows(table, self._roller.scaling)
        last = np.array([len(table) - 1])
        return self._roller.read(rows, table.filled(), last)[1]

    def _judge(self, table: Table, first: int, horizon: int) -> Scores:
        rows = self._features.rows(table, self._roller.scaling)
        season = self.config["season"]
        scale = mase_scale(self.table.values[: self.config["parts"]["valid"]], season)
        return judge(Subject(self._roller, table, rows, scale, first, season, horizon))

    def read(self, data: Any) -> Table:  # noqa: ANN401
        """Read the columns of the model from a path, an array or a data frame."""
        asked = Asked(self.table.names)
        if isinstance(data, str | Path):
            return self._scalable(read_series(str(data), asked))
        plain = isinstance(data, np.ndarray | list | tuple)
        table = series_from(data, Asked() if plain else asked)
        if plain and len(table.names) == len(self.table.names):
            return self._scalable(replace(table, names=self.table.names))
        return self._scalable(table.columns(self.table.names))

    def _scalable(self, table: Table) -> Table:
        check_scalable(self._roller.scaling.kind, table)
        return table


def load(directory: str | Path, device: str = "cpu") -> SeriesModel:
    """Load a model that `charlm series train` wrote; raise ModelError where it is none."""
    return SeriesModel(read_series_model(Path(directory)), device)


def _behind(own: Table, learned: int, other: Table) -> tuple[Table, int]:
    """Put another series behind the rows of a model's own that are before it; by their times.

    Gives both together and the first row to judge: the other's first that was not learned from.
    Without times, and where all were learned from, that is the other's first one.
    """
    if own.clock is None or other.clock is None:
        return other, 0
    begin = other.clock.times[0]
    before = own.rows(0, int(np.searchsorted(own.clock.times, begin)))
    times = np.concatenate([before.clock.times if before.clock else [], other.clock.times])
    values = np.concatenate([before.values, other.values])
    clock, values = insert_missing_rows(Clock(own.clock.name, times.astype(np.int64)), values)
    last = own.clock.times[learned - 1]
    new = int(np.searchsorted(clock.times, max(begin, last + 1)))
    first = new if new < len(values) else int(np.searchsorted(clock.times, begin))
    return replace(own, values=values, clock=clock), first


def _check_horizon(horizon: int) -> None:
    if not 1 <= horizon <= MOST_HORIZON:
        raise UsageError(f"--horizon must be 1 to {MOST_HORIZON:,}, not {horizon}")
