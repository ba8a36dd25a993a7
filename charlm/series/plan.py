"""From a series and options to a plan: parts, scaling, network, and how it is trained.

A pure function of both.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from charlm.batches.windows import Windows
from charlm.errors import CorpusError
from charlm.options import check
from charlm.series.features import Features
from charlm.series.heads import HEADS
from charlm.series.network import SeriesConfig
from charlm.series.request import TEST, VALID, SeriesRequest, rows_asked
from charlm.series.scaling import (
    AUTO,
    DIFFERENCE,
    LOG,
    Scaling,
    above_zero,
    check_scalable,
    choose_kind,
    fit_scaling,
)
from charlm.series.season import season_of
from charlm.series.table import LEAST_ROWS, Table
from charlm.training.budget import Budget
from charlm.training.optimizers import OptimizerOptions

STREAM = 512  # rows of a stream, at least, before there are more of them
STREAMS = 16
WINDOW = 128
WINDOWS = 4  # updates in a pass, at least
LONGEST_HORIZON = 1_000
HEAD = "quantiles"
PASSES = 60  # through a series, where neither steps nor time were given
QUARTER = 4
LEAST_STEPS, MOST_STEPS = 300, 3_000  # then
FEW = 64  # units that one thread computes fastest


@dataclass(frozen=True)
class Parts:
    """Where a series is cut: rows before `train` are learned from, before `valid` steered by.

    Those behind are what the model is judged on.
    """

    train: int
    valid: int
    total: int

    @property
    def test(self) -> int:
        """Count the rows that the model is judged on."""
        return self.total - self.valid


@dataclass(frozen=True)
class SeriesPlan:
    """Everything a run is, but for its rows and its seed.

    season:  rows after which the series repeats itself, 1 for none
    horizon: rows ahead over which a closed loop is judged
    """

    parts: Parts
    scaling: Scaling
    season: int
    horizon: int
    network: SeriesConfig
    optimizer: OptimizerOptions
    budget: Budget
    batch: int
    bptt: int
    threads: int

    @property
    def windows(self) -> Windows:
        """Give the windows of truncated backpropagation."""
        return Windows(self.bptt, self.bptt)

    def chosen(self) -> dict[str, Any]:
        """Give what was chosen, under the names of the options that would choose the same."""
        return {
            "batch": self.batch,
            "bptt": self.bptt,
            "threads": self.threads,
            "steps": self.budget.steps,
            "scaling": self.scaling.kind,
        }


def make_plan(request: SeriesRequest, table: Table) -> SeriesPlan:
    """Choose what the request leaves open; raise CorpusError where too little is left to learn."""
    parts = cut(request, len(table))
    train = table.rows(0, parts.train)
    _check_learnable(train)
    season, by_calendar = season_of(train)
    if request.season is not None:
        check(
            request.season <= parts.train // 2,
            f"--season must be at most half of the {parts.train:,} rows to learn from, not "
            f"{request.season:,}",
        )
        season, by_calendar = request.season, True
    begin = min(int(train.known.argmax(axis=0).max()), parts.train - LEAST_ROWS)
    kind = choose_kind(train.filled()[begin:]) if request.scaling == AUTO else request.scaling
    if kind == LOG and request.scaling == AUTO and not above_zero(table):
        kind = DIFFERENCE  # what comes later has no logarithm
    check_scalable(kind, table)
    scaling = fit_scaling(kind, train.filled()[begin:], table.names)
    lagged = request.lag and by_calendar and 1 < season <= parts.train // 2
    features = Features(
        columns=len(table.names),
        gaps=not bool(train.known.all()),
        lag=season if lagged else 0,
    )
    network = SeriesConfig(
        features=features,
        hidden_size=request.hidden,
        num_layers=request.layers,
        embed_size=request.embed,
        cell=request.cell,
        head=request.head or HEAD,
        dropout=request.dropout,
        persists=not scaling.differs,
    )
    batch = request.batch or max(1, min(STREAMS, parts.train // STREAM))
    batch = min(batch, parts.train - 1)
    length = (parts.train - 1) // batch
    bptt = request.bptt or max(1, min(WINDOW, length // WINDOWS))
    usual = season if season > 1 else min(LONGEST_HORIZON, max(1, parts.test // QUARTER))
    horizon = request.horizon or usual
    return SeriesPlan(
        parts=parts,
        scaling=scaling,
        season=season,
        horizon=max(1, min(horizon, parts.test or horizon)),
        network=network,
        optimizer=OptimizerOptions(
            learning_rate=request.lr,
            weight_decay=request.weight_decay,
            clip_norm=request.clip_norm,
        ),
        budget=_budget(request, train, batch * bptt),
        batch=batch,
        bptt=bptt,
        threads=request.threads or (1 if request.hidden <= FEW else 2),
    )


def cut(request: SeriesRequest, total: int) -> Parts:
    """Cut a series; raise CorpusError where the part to learn from would be too short."""
    valid = total - rows_asked(request.test or TEST, total)
    train = valid - rows_asked(request.valid or VALID, max(valid, 0))
    if train < LEAST_ROWS:
        raise CorpusError(
            f"{max(train, 0)} of {total:,} rows are left to learn from; {LEAST_ROWS} at least are "
            "needed",
            "smaller --test and --valid leave more",
        )
    return Parts(train, valid, total)


def describe(plan: SeriesPlan, table: Table, parameters: int) -> list[str]:
    """Say in three lines what is trained, and on what."""
    network, parts, unit = plan.network, plan.parts, HEADS[plan.network.head].unit
    told = ", ".join(table.names[:5]) + (" ..." if len(table.names) > 5 else "")
    season = f", season of {plan.season:,} rows" if plan.season > 1 else ""
    read = [f"{plan.scaling.kind} scaling"]
    read += [f"the value {network.features.lag} rows before the next"] * (network.features.lag > 0)
    read += ["marks of gaps"] * network.features.gaps
    return [
        f"series   {told}: {parts.train:,} rows to learn from, {parts.valid - parts.train:,} to "
        f"steer by, {parts.test:,} to be judged on{season}",
        f"network  {network.num_layers} x {network.hidden_size} {network.cell}, head: "
        f"{network.head} ({unit}), {parameters:,} parameters; reads {', '.join(read)}",
        f"learning adamw, rate {plan.optimizer.learning_rate:.2g}; {plan.batch} at a time, windows "
        f"of {plan.bptt} rows, {_told(plan.budget)}",
    ]


def network_json(config: SeriesConfig) -> dict[str, Any]:
    """Describe a network for config.json."""
    return {name: value for name, value in asdict(config).items() if name != "stack"}


def _check_learnable(train: Table) -> None:
    """Raise CorpusError for a column of which the training part says nothing."""
    for name, column in zip(train.names, train.values.T, strict=True):
        known = column[np.isfinite(column)]
        if not len(known) or np.ptp(known) == 0:
            what = "holds no value" if not len(known) else f"is constant ({known[0]:g})"
            raise CorpusError(
                f"column '{name}' {what} in the {len(train):,} rows to learn from",
                "--column chooses others; smaller --test and --valid leave more rows",
            )


def _budget(request: SeriesRequest, train: Table, a_step: int) -> Budget:
    """Give the budget asked for; without one, steps of `a_step` rows for so many passes."""
    if request.minutes is not None:
        return Budget(seconds=60 * request.minutes)
    if request.epochs is not None:
        targets = int(train.known[1:].sum())  # of one pass, but for what is only read
        return Budget(targets=max(1, round(request.epochs * targets)))
    passes = round(PASSES * len(train) / a_step)
    return Budget(steps=request.steps or max(LEAST_STEPS, min(MOST_STEPS, passes)))


def _told(budget: Budget) -> str:
    if budget.seconds is not None:
        return f"{budget.seconds / 60:g} minutes"
    if budget.targets is not None:
        return f"{budget.targets:,} values"
    return f"{budget.steps:,} steps"
