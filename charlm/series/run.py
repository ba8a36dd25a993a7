"""One training run on a series: its plan, its network, and the directory it goes into."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch

from charlm import storage
from charlm.batches.streams import Streams
from charlm.runs.dialogue import Stop, Tell
from charlm.runs.files import plain
from charlm.runs.record import RunRecord, write_record
from charlm.runs.session import Course, train_in
from charlm.series.directory import SERIES, digest, table_bytes, table_json, write_series_model
from charlm.series.handle import SeriesModel, load
from charlm.series.judging import Scores
from charlm.series.network import SeriesNetwork
from charlm.series.plan import SeriesPlan, describe, make_plan, network_json
from charlm.series.report import series_card
from charlm.series.request import SeriesRequest
from charlm.series.result import SeriesResult
from charlm.series.rollout import Roller
from charlm.series.steering import ClosedLoop, OneStep, Steering
from charlm.series.table import Table
from charlm.series.task import SeriesTask
from charlm.training.processes import Processes
from charlm.training.progress import Measure, Report
from charlm.training.task import TrainState
from charlm.training.threads import set_threads
from charlm.version import __version__


class Run:
    """One training run on a series."""

    def __init__(
        self,
        out: Path,
        source: str,
        request: SeriesRequest,
        table: Table,
        device: torch.device,
        record: RunRecord[SeriesRequest] | None = None,
    ) -> None:
        """Plan the run, make its network and write what it is into its directory.

        record: of the run as it began, where it goes on
        """
        self.out, self.source, self.table, self.device = out, source, table, device
        asked = request
        if record is not None:
            request, self.source = record.resumed(request), record.paths[0]
        self.request = request
        self.plan: SeriesPlan = make_plan(request, table)
        set_threads(self.plan.threads)
        torch.manual_seed(request.seed)
        self.network = SeriesNetwork(self.plan.network).to(device)
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())
        chosen = self.plan.chosen()
        if record is None:
            described = table_json(table)
            names = {"sha256": digest(table)}
            settled = {"series": described}
            write_record(self.out, RunRecord([source], request, chosen, names, settled))
        elif (changed := record.changed(asked, chosen)) != record:
            write_record(self.out, changed)
        if not (self.out / SERIES).exists():  # a run whose record is there can go on
            storage.write_bytes(self.out / SERIES, table_bytes(table))

    def complete(self, stream: TextIO | None, stop: Stop, tell: Tell) -> SeriesResult:
        """Train to the end, save, judge."""
        for note in self.table.notes:
            tell(f"note     {note}")
        asked = self.request.horizon
        if asked is not None and asked > self.plan.horizon:
            tell(f"note     judged {self.plan.horizon:,} rows ahead: no more are left")
        for line in describe(self.plan, self.table, self.parameters):
            tell(line)
        state = self.train(stream, stop, tell)
        model = self.save(state, None, finished=False)
        if state.stopped_by == "request":
            return SeriesResult(model, state, None)
        scores = model.evaluate() if self.plan.parts.test else None
        model = self.save(state, scores, finished=True)
        storage.forget_replaced(self.out)
        return SeriesResult(model, state, scores)

    def train(
        self, stream: TextIO | None, stop: Stop, tell: Tell, report: Report | None = None
    ) -> TrainState:
        """Train, from the newest checkpoint where there is one, until the budget is used up."""
        steered = "closed loop, held out" if self.network.kind.points else "held out"
        unit = Measure(f"{self.network.kind.unit}, scaled", counted="values", steered=steered)
        return train_in(
            self.out,
            self._task,
            Course(self.plan.budget, self.plan.optimizer, self.request.loop(), unit),
            request=self.request,
            parameters=self.parameters,
            processes=Processes(),
            stream=stream,
            stop=stop,
            tell=tell,
            report=report,
        )

    def _task(self) -> SeriesTask:
        parts, plan = self.plan.parts, self.plan
        learned = plan.network.features.rows(self.table.rows(0, parts.valid), plan.scaling)
        train = learned[: parts.train]
        streams = Streams(
            train,
            batch_size=plan.batch,
            windows=plan.windows,
            seed=self.request.seed,
            boundaries=np.array([0, len(train) - 1]),
            reset_at_documents=True,  # an epoch goes round: from the end to the beginning
        )
        return SeriesTask(self.network, streams, self._steering(learned), self.device)

    def _steering(self, rows: np.ndarray) -> Steering | None:
        parts, plan = self.plan.parts, self.plan
        table = self.table.rows(0, parts.valid)
        if not table.known[parts.train :].any():
            return None
        if not self.network.kind.points:
            return OneStep(rows, parts.train)
        roller = Roller(self.network, plan.network.features, plan.scaling)
        return ClosedLoop(roller, table, parts.train, plan.horizon)

    def save(self, state: TrainState, scores: Scores | None, finished: bool) -> SeriesModel:
        """Write the model directory; its manifest comes last."""
        config = plain(self._config(state, scores, finished))
        with storage.existing_directory(self.out) as writer:
            card = series_card(plain(self.out.name), config)
            write_series_model(writer, config, self.network, self.table, card)
        return load(self.out, device=self.request.device)

    def _config(self, state: TrainState, scores: Scores | None, finished: bool) -> dict[str, Any]:
        plan = self.plan
        return {
            "series": table_json(self.table),
            "parts": {name: getattr(plan.parts, name) for name in ("train", "valid", "total")},
            "scaling": plan.scaling.to_json(),
            "season": plan.season,
            "horizon": plan.horizon,
            "network": network_json(plan.network),
            "parameters": self.parameters,
            "charlm_version": __version__,
            "run": {
                "corpus": self.source,
                "request": asdict(self.request),
                "optimizer": asdict(plan.optimizer),
                "batch_size": plan.batch,
                "window": plan.bptt,
                "threads": plan.threads,
                "steps": state.step,
                "targets": state.targets,
                "seconds": round(state.seconds, 3),
                "stopped_by": state.stopped_by,
                "finished": finished,
            },
            "scores": None if scores is None else scores.to_json(),
        }
