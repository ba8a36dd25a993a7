"""How well a series network forecasts, beside forecasts that need no learning: by rolling origin.

Legend: L rows, C columns, N rows judged, O origins, H rows ahead, Q levels.

One step ahead: each row of the part that is judged, after all rows before it. Closed loop: from
origins spread over that part, H rows ahead, with nothing known but what stands before (rolling
origin: Tashman 2000); points are made each from the one before, or, of a distribution, they are the
median of ways drawn at random. Missing values are not judged.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from charlm.errors import CorpusError
from charlm.series.crps import LEVELS, crps
from charlm.series.naive import NAIVE
from charlm.series.rollout import Origins, Roller
from charlm.series.table import Table
from charlm.series.verdict import compare

CONTEXT = 10_000  # rows read before the first one that is judged
ORIGINS = 50
PATHS = 200  # drawn from each origin, of a distribution
MOST_STREAMS = 4_000  # rolled at a time
BAND = 0.8  # of the values shall lie in the band
AT_A_TIME = 4_096  # rows whose quantiles are held


@dataclass(frozen=True)
class Errors:
    """Errors in the series' own units, means over its columns; None without a closed loop.

    mase: the mean absolute error by that of the seasonal naive forecast over the part that was
          learned from, one season ahead (Hyndman & Koehler 2006)
    """

    rmse: float
    mae: float
    mase: float
    closed_loop_rmse: float | None
    closed_loop_mae: float | None
    closed_loop_mase: float | None


@dataclass(frozen=True)
class Scores:
    """What `series eval` tells.

    rows:     judged one step ahead
    origins:  of closed loops, each `horizon` rows ahead
    season:   rows after which the seasonal naive forecast repeats the series
    crps, coverage: of distributions, one step ahead: the continuous ranked probability score, and
              the share of values in the band that shall hold 80 %
    verdicts: "better", "worse" or "even": the network's absolute errors one step ahead beside
              those of each naive forecast, where the mean difference is clear (95 %) or not
    by_column: network and naive forecasts for each column, where there are several
    """

    rows: int
    origins: int
    horizon: int
    season: int
    network: Errors
    naive: dict[str, Errors]
    crps: float | None
    coverage: float | None
    closed_loop_crps: float | None
    closed_loop_coverage: float | None
    verdicts: dict[str, str]
    by_column: dict[str, dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold: the network's errors at the top, the naive beside."""
        told: dict[str, Any] = {"rows": self.rows, "origins": self.origins}
        told |= {"horizon": self.horizon, "season": self.season} | asdict(self.network)
        if self.crps is not None:
            told |= {
                "crps": self.crps,
                "coverage": self.coverage,
                "closed_loop_crps": self.closed_loop_crps,
                "closed_loop_coverage": self.closed_loop_coverage,
            }
        told |= {name: asdict(errors) for name, errors in self.naive.items()}
        told |= {"verdicts": self.verdicts}
        told |= {"by_column": self.by_column} if self.by_column else {}
        return {name: _plain(value) for name, value in told.items()}


@dataclass(frozen=True)
class Subject:
    """What is judged.

    table: the whole series
    rows:  its rows as the network reads them, (L, 3 C)
    scale: of MASE, (C,), from what the model was made from
    first: the first row that is judged
    """

    roller: Roller
    table: Table
    rows: np.ndarray
    scale: np.ndarray
    first: int
    season: int
    horizon: int


def judge(subject: Subject, seed: int = 1) -> Scores:
    """Judge a network; raise CorpusError where no row is left for it."""
    table, first = subject.table, subject.first
    if not 1 <= first < len(table) or not table.known[first:].any():
        raise CorpusError("there is no row to judge the model on", "--test keeps some back")
    start = max(0, first - CONTEXT)
    filled, truth = table.filled(), table.values
    begins = table.known.argmax(axis=0)
    horizon = max(1, min(subject.horizon, len(table) - first))
    places = _origins(first, len(table), horizon)
    outputs, origins = subject.roller.read(subject.rows[start:], filled[start:], places - start)
    before = np.arange(first - 1, len(table) - 1)
    shown = outputs[before - start]
    steps = subject.roller.scaling.decode(subject.roller.points(shown), filled[before])
    drawn = _drawn(subject, origins, horizon, seed)
    if drawn is None:
        loops = subject.roller.roll(origins, horizon, subject.roller.points)
    else:
        loops = np.median(drawn, axis=0)
    ahead = places[:, None] + np.arange(1, horizon + 1)
    judged = _Judged(truth[first:], truth[ahead], subject.scale)
    scale = subject.scale
    naive_steps = {n: f(filled, before, 1, subject.season, begins)[:, 0] for n, f in NAIVE.items()}
    naive_loops = {n: f(filled, places, horizon, subject.season, begins) for n, f in NAIVE.items()}
    network = judged.errors(steps, loops)
    naive = {name: judged.errors(naive_steps[name], naive_loops[name]) for name in NAIVE}
    spread = _distribution(subject, shown, filled[before], truth[first:])
    loop_spread = _closed_distribution(drawn, truth[ahead])
    return Scores(
        rows=int(table.known[first:].any(axis=1).sum()),
        origins=len(places),
        horizon=horizon,
        season=subject.season,
        network=_mean(network),
        naive={name: _mean(errors) for name, errors in naive.items()},
        crps=spread[0],
        coverage=spread[1],
        closed_loop_crps=loop_spread[0],
        closed_loop_coverage=loop_spread[1],
        verdicts={
            name: compare(
                np.abs(judged.steps - steps), np.abs(judged.steps - naive_steps[name]), scale
            )
            for name in NAIVE
        },
        by_column=_by_column(table.names, network, naive),
    )


@dataclass(frozen=True)
class _Judged:
    """The values to be forecast: steps (N, C), loops (O, H, C), and MASE's scale (C,)."""

    steps: np.ndarray
    loops: np.ndarray
    scale: np.ndarray

    def errors(self, steps: np.ndarray, loops: np.ndarray) -> list[Errors]:
        """Give the errors of forecasts of such shapes, for each column."""
        return [
            Errors(*_three(self.steps[:, c] - steps[:, c], scale),
                   *_three(self.loops[..., c] - loops[..., c], scale))
            for c, scale in enumerate(self.scale)
        ]  # fmt: skip


def _origins(first: int, total: int, horizon: int) -> np.ndarray:
    """Spread the rows after which closed loops begin: each has `horizon` rows behind it."""
    last = total - 1 - horizon
    count = min(ORIGINS, last - (first - 1) + 1)
    return np.unique(np.linspace(first - 1, last, count).round().astype(int))


def mase_scale(learned: np.ndarray, season: int) -> np.ndarray:
    """Give the mean absolute change of rows (L, C) over a season, (C,): what MASE divides by."""
    season = season if season < len(learned) else 1
    changes = np.abs(learned[season:] - learned[:-season])
    scale = np.nanmean(changes, axis=0)
    return np.asarray(np.where(np.isfinite(scale) & (scale > 0), scale, 1.0))


def _three(errors: np.ndarray, scale: float) -> tuple[float, float, float]:
    """Give RMSE, MAE and MASE of errors of any shape, NaN where nothing was known."""
    known = errors[np.isfinite(errors)]
    if not len(known):
        return np.nan, np.nan, np.nan
    mae = float(np.abs(known).mean())
    return float(np.sqrt((known**2).mean())), mae, mae / float(scale)


def _distribution(
    subject: Subject, outputs: np.ndarray, before: np.ndarray, truth: np.ndarray
) -> tuple[float | None, float | None]:
    """Give CRPS and coverage one step ahead; None for a head of points."""
    roller = subject.roller
    if roller.network.kind.points:
        return None, None
    scores, inside = [], []
    for start in range(0, len(outputs), AT_A_TIME):
        piece = slice(start, start + AT_A_TIME)
        quantiles = np.stack(
            [values_at(roller, outputs[piece], before[piece], level) for level in LEVELS], axis=-1
        )
        scores.append(crps(quantiles, truth[piece]))
        low, high = (
            values_at(roller, outputs[piece], before[piece], level)
            for level in ((1 - BAND) / 2, (1 + BAND) / 2)
        )
        inside.append(_inside(truth[piece], low, high))
    return _known_mean(np.concatenate(scores)), _known_mean(np.concatenate(inside))


def _drawn(subject: Subject, origins: Origins, horizon: int, seed: int) -> np.ndarray | None:
    """Draw ways from each origin, (paths, O, H, C); None for a head of points."""
    if subject.roller.network.kind.points:
        return None
    paths = max(20, min(PATHS, MOST_STREAMS // len(origins.values)))
    return subject.roller.draw(origins, horizon, paths, np.random.default_rng(seed))


def _closed_distribution(
    drawn: np.ndarray | None, truth: np.ndarray
) -> tuple[float | None, float | None]:
    """Give CRPS and coverage over the closed loops, of ways (paths, O, H, C) drawn at random."""
    if drawn is None:
        return None, None
    low, high = np.quantile(drawn, [(1 - BAND) / 2, (1 + BAND) / 2], axis=0)
    quantiles = np.moveaxis(np.quantile(drawn, LEVELS, axis=0), 0, -1)
    return _known_mean(crps(quantiles, truth)), _known_mean(_inside(truth, low, high))


def values_at(roller: Roller, outputs: np.ndarray, before: np.ndarray, level: float) -> np.ndarray:
    """Give a quantile, (N, C) in the series' own units; `before` is the row before each."""
    return roller.scaling.decode(roller.quantiles(outputs, np.array(level)), before)


def _inside(truth: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    inside = ((low <= truth) & (truth <= high)).astype(float)
    return np.where(np.isfinite(truth), inside, np.nan)


def _known_mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Give None for NaN, which JSON does not know: of what nothing was known."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _mean(errors: list[Errors]) -> Errors:
    """Average over the columns of which something was known."""
    rows = np.array([list(asdict(each).values()) for each in errors], dtype=float)
    known = rows[np.isfinite(rows[:, 0])]
    loops = rows[np.isfinite(rows[:, 3])]
    means = [known[:, :3].mean(axis=0), loops[:, 3:].mean(axis=0) if len(loops) else [np.nan] * 3]
    return Errors(*map(float, np.concatenate(means)))


def _by_column(
    names: tuple[str, ...], network: list[Errors], naive: dict[str, list[Errors]]
) -> dict[str, dict[str, Any]]:
    if len(names) == 1:
        return {}
    return {
        name: asdict(network[c]) | {each: asdict(errors[c]) for each, errors in naive.items()}
        for c, name in enumerate(names)
    }
