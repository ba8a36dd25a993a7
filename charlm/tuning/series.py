"""Models of series as what is tuned: a network and its scaling around charlm's own plan.

The head is never searched: a point and a distribution are not scored alike. Nor are the parts of
the series, the season and what is read of it: with these a trial would be scored on other rows.
"""

import shlex
from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

from charlm import storage
from charlm.errors import CorpusError
from charlm.language.command import words_of
from charlm.runs.dialogue import Stop
from charlm.runs.request import BUDGETS
from charlm.series.directory import SERIES, digest, table_bytes, table_json
from charlm.series.fit import fit
from charlm.series.heads import HEADS
from charlm.series.plan import make_plan
from charlm.series.request import SeriesRequest
from charlm.series.source import ARRAY
from charlm.series.table import Table
from charlm.text.finding import run_name
from charlm.tuning.objective import ROWS, Options, Outcome, Report
from charlm.tuning.series_trial import train_trial
from charlm.tuning.space import Choice, Number, Parameter, Value, Values, number, option_of, told

SCALINGS: tuple[Value, ...] = ("standard", "min-max", "robust", "difference")
GROWTH = "log-difference"  # for what is above 0
STEP = 4  # by which sizes differ
SIGNIFICANT = ".3g"  # of rates that a trial is given


class SeriesObjective:
    """Tunes `charlm series train` on a series: errors on the rows to steer by, one step ahead."""

    wording = ROWS

    def __init__(
        self, source: str, request: SeriesRequest, table: Table, fixed: Collection[str]
    ) -> None:
        """Plan what is not searched; `fixed` are the options of the request that are given.

        Raises CorpusError where no rows are left to learn from, or to steer by.
        """
        self.source, self.table, self.fixed = source, table, {*fixed}
        self.name = run_name([source])
        self.plan = make_plan(request, table)
        parts = self.plan.parts
        if not table.known[parts.train : parts.valid].any():
            raise CorpusError(
                "no rows with values are left to steer by, on which trials are compared",
                "--valid 20% keeps a fifth of those before the rows to be judged on",
            )
        if all(getattr(request, name) is None for name in BUDGETS):
            request = replace(request, steps=self.plan.budget.steps)
        self.request = request
        points = HEADS[self.plan.network.head].points
        self.unit = "MASE" if points else "scaled CRPS"

    @property
    def budget(self) -> dict[str, float | int]:
        """Give the budget of each trial, as options of a run."""
        given = {name: getattr(self.request, name) for name in BUDGETS}
        return {name: value for name, value in given.items() if value is not None}

    def about(self) -> str:
        """Tell on which rows trials are scored, and which are not read."""
        parts, steps = self.plan.parts, self.budget.get("steps")
        length = f", {steps:,} steps each" if steps else ""
        return (
            f"series   {parts.train:,} rows to learn from; trials are scored on the "
            f"{parts.valid - parts.train:,} to steer by, {self.unit}{length}; the last "
            f"{parts.test:,} are kept back"
        )

    def identity(self) -> dict[str, Any]:
        """Name the series by what is in it, and the fixed options by their values."""
        options, usual = asdict(self.request), asdict(SeriesRequest())
        kept = {
            name: value
            for name, value in options.items()
            if name in self.fixed or value != usual[name]
        }
        corpus = {"sha256": digest(self.table)}
        return {"kind": self.wording.corpus, "corpus": corpus, "options": kept}

    def space(self) -> list[Parameter]:
        """Give what is searched; the plan's own choice is the default of each."""
        request = self.request
        found: list[Parameter] = [
            Choice("cell", ("lstm", "gru", "rnn"), request.cell),
            Choice("scaling", self._scalings(), self.plan.scaling.kind),
            Number("layers", 1, 3, request.layers, whole=True),
            Number("hidden_factor", 0.25, 4.0, 1.0, log=True),
            Number("lr_factor", 0.2, 5.0, 1.0, log=True),
            Number("dropout", 0.0, 0.5, request.dropout),
            Number("weight_decay_factor", 0.01, 30.0, 1.0, log=True),
            Number("bptt_factor", 0.25, 4.0, 1.0, log=True),
        ]
        return [each for each in found if option_of(each.name) not in self.fixed]

    def _scalings(self) -> tuple[Value, ...]:
        """Name those that can be fitted to the training part."""
        learned = self.table.rows(0, self.plan.parts.train).filled()
        return (*SCALINGS, GROWTH) if (learned > 0).all() else SCALINGS

    def settle(self, known: dict[str, Any] | None) -> dict[str, Any]:
        """Describe the series that `keep` writes: its plan measures nothing."""
        return known or {"series": table_json(self.table)}

    def keep(self, directory: Path) -> None:
        """Put the series into the study's directory, for when its file is gone."""
        if not (directory / SERIES).exists():
            storage.write_bytes(directory / SERIES, table_bytes(self.table))

    def options(self, values: Values, repeat: int) -> Options:
        """Give the plan's options, moved by a trial's values."""
        request, plan = self.request, self.plan
        size = request.hidden
        if (factor := number(values, "hidden_factor", 1.0)) != 1.0:
            size = max(STEP, STEP * round(size * factor / STEP))
        longest = (plan.parts.train - 1) // plan.batch
        bptt = plan.bptt
        if (factor := number(values, "bptt_factor", 1.0)) != 1.0:
            bptt = min(longest, max(1, round(bptt * factor)))
        found: Options = {
            "cell": values.get("cell", request.cell),
            "layers": values.get("layers", request.layers),
            "hidden": size,
            "lr": _moved(request.lr, number(values, "lr_factor", 1.0)),
            "dropout": round(number(values, "dropout", request.dropout), 2),
            "weight_decay": _moved(
                request.weight_decay, number(values, "weight_decay_factor", 1.0)
            ),
            "bptt": bptt,
            "scaling": values.get("scaling", plan.scaling.kind),
        }
        return found | ({"seed": request.seed + repeat} if repeat else {})

    def train(
        self,
        options: Options,
        directory: Path,
        report: Report,
        stop: Stop,
        stream: TextIO | None,
    ) -> Outcome | None:
        """Train a network, and score it on the rows to steer by."""
        request = replace(self.request, **options)
        return train_trial(self.source, request, self.table, directory, report, stop, stream)

    def told(self, values: Values) -> str:
        """Tell what differs from the plan."""
        return told(values, self.space())

    def command(self, options: Options | None) -> str:
        """Write the command that trains what a trial did; in Python, for an array."""
        request = replace(self.request, **(options or {}))
        if self.source != ARRAY:
            return shlex.join(["charlm", "series", "train", self.source, *words_of(request)])
        usual = asdict(SeriesRequest())
        given = {n: v for n, v in asdict(request).items() if v != usual[n]}
        words = ["data", *(f"{name}={value!r}" for name, value in given.items())]
        return f"charlm.series.train({', '.join(words)})"

    def train_longer(
        self,
        options: Options | None,
        minutes: float | None,
        out: str | None,
        progress: TextIO | None,
        stop: Stop,
    ) -> tuple[dict[str, Any], str]:
        """Train the same once more, as `charlm series train` does, and judge it."""
        request = replace(self.request, **(options or {}), out=out)
        if minutes is not None:
            budget: dict[str, Any] = dict.fromkeys(BUDGETS)
            request = replace(request, **(budget | {"minutes": minutes}))
        result = fit(self.source, request, progress, stop, self.table)
        return result.to_json(), result.summary()


def _moved(rate: float, factor: float) -> float:
    return rate if factor == 1.0 else float(f"{rate * factor:{SIGNIFICANT}}")
