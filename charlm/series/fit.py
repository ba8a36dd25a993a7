"""From a series to a trained model directory: the whole of `charlm series train`."""

import hashlib
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch

from charlm import storage
from charlm.batches.streams import Streams
from charlm.errors import CorpusError, ModelError, UsageError
from charlm.options import did_you_mean
from charlm.runs.dialogue import NeverStop, Stop, Tell, teller
from charlm.runs.files import plain
from charlm.runs.place import Place, find_place
from charlm.runs.record import RunRecord, write_record
from charlm.runs.session import Course, train_in
from charlm.series.directory import (
    SERIES,
    read_table,
    table_bytes,
    table_json,
    write_series_model,
)
from charlm.series.handle import SeriesModel, load
from charlm.series.judging import Scores
from charlm.series.network import SeriesNetwork
from charlm.series.plan import SeriesPlan, describe, make_plan, network_json
from charlm.series.reading import Asked, read_series, series_from
from charlm.series.report import series_card
from charlm.series.request import SeriesRequest
from charlm.series.result import SeriesResult
from charlm.series.rollout import Roller
from charlm.series.steering import ClosedLoop, OneStep, Steering
from charlm.series.table import Table
from charlm.series.task import SeriesTask
from charlm.series.wave import SINE, sine_wave, wave_request
from charlm.sinks.names import require
from charlm.training.memory import memory_errors
from charlm.training.precision import choose_device
from charlm.training.processes import Processes
from charlm.training.progress import Measure
from charlm.training.task import TrainState
from charlm.training.threads import set_threads
from charlm.version import __version__

NAMES = [field.name for field in fields(SeriesRequest)]
ARRAY = "array"  # the name of a series that came as one, and not in a file


def train(data: Any, **options: Any) -> SeriesModel:  # noqa: ANN401
    """Train a model on a series: a path, "sine", an array (L,) or (L, C), or a data frame.

    Options are those of `charlm series train`: column, head, cell, hidden, steps, test, out, ...
    Raises a CharlmError for whatever is wrong.
    """
    if unknown := sorted(options.keys() - set(NAMES)):
        hint = did_you_mean(unknown[0], NAMES) or "see charlm series train --help"
        raise UsageError(f"unknown option '{unknown[0]}'", hint)
    request = SeriesRequest(**{k: v for k, v in options.items() if v is not None})
    if isinstance(data, str | Path):
        return fit(str(data), request).model
    return fit(ARRAY, request, data=data).model


@memory_errors("training")
def fit(
    source: str,
    request: SeriesRequest,
    progress: TextIO | None = None,
    stop: Stop | None = None,
    data: Any = None,  # noqa: ANN401
) -> SeriesResult:
    """Read, plan, train, save, judge; or go on where a run was interrupted."""
    stop, tell = stop or NeverStop(), teller(progress)
    if int(os.environ.get("WORLD_SIZE") or 1) > 1:
        raise UsageError("a series is learned from by one process", "run it without torchrun")
    require(request.sinks)
    device = choose_device(request.device)
    if data is None and _is_wave(source):
        request = wave_request(request)
    place = find_place([source], request)
    if place.why is not None:
        tell(place.why)
    if place.finished:
        return finished_result(place.directory)
    table = None if place.record is not None else _read(source, request, data)
    with place.opened():
        if place.record is not None:
            for name, (before, now) in place.record.changes(request).items():
                tell(f"changed: {name.replace('_', '-')} {before} -> {now}")
            table = _kept_table(place, source, request, data)
        assert table is not None
        run = _Run(place, source, request, table, device)
        return run.complete(progress, stop, tell)


def finished_result(directory: Path) -> SeriesResult:
    """Give what a finished run came to; nothing is changed."""
    model = load(directory)
    run = model.config["run"]
    state = TrainState(
        step=run["steps"],
        targets=run["targets"],
        seconds=run["seconds"],
        stopped_by=run["stopped_by"],
    )
    return SeriesResult(model, state, None)


class _Run:
    """One training run on a series."""

    def __init__(
        self,
        place: Place[SeriesRequest],
        source: str,
        request: SeriesRequest,
        table: Table,
        device: torch.device,
    ) -> None:
        self.place, self.table, self.device = place, table, device
        self.out, self.source, record = place.directory, source, place.record
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
            names = {"sha256": _digest(table)}
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
        for line in describe(self.plan, self.table, self.parameters):
            tell(line)
        state = self._train(stream, stop, tell)
        model = self._save(state, None, finished=False)
        if state.stopped_by == "request":
            return SeriesResult(model, state, None)
        scores = model.evaluate() if self.plan.parts.test else None
        model = self._save(state, scores, finished=True)
        storage.forget_replaced(self.out)
        return SeriesResult(model, state, scores)

    def _train(self, stream: TextIO | None, stop: Stop, tell: Tell) -> TrainState:
        unit = Measure(f"{self.network.kind.unit}, scaled", counted="values")
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

    def _save(self, state: TrainState, scores: Scores | None, finished: bool) -> SeriesModel:
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


def _read(source: str, request: SeriesRequest, data: Any) -> Table:  # noqa: ANN401
    """Read the series that a run is to learn from."""
    asked = Asked(_columns(request.column), request.time)
    if data is not None:
        return series_from(data, asked)
    if _is_wave(source):
        return sine_wave(request.noise, request.seed)
    if request.noise:
        raise UsageError("--noise is for the built-in wave: charlm series train sine --noise 0.05")
    return read_series(source, asked)


def _is_wave(source: str) -> bool:
    return source == SINE and not Path(SINE).exists()


def _columns(words: str | None) -> tuple[str, ...]:
    """Cut the names of columns at commas."""
    return () if words is None else tuple(word.strip() for word in words.split(","))


def _kept_table(
    place: Place[SeriesRequest],
    source: str,
    request: SeriesRequest,
    data: Any,  # noqa: ANN401
) -> Table:
    """Read the series that a run began with; raise CorpusError where another one is given now."""
    record = place.record
    assert record is not None
    kept, digest = place.directory / SERIES, record.corpus["sha256"]
    table = read_table(kept, record.settled.get("series")) if kept.exists() else None
    if table is not None and _digest(table) != digest:
        raise ModelError(f"{kept} is damaged", "--force starts the run anew")
    again = data is not None or source == SINE or Path(source).is_file()
    if table is not None and not again:
        return table  # the file is gone, or was standard input: what was kept will do
    now = _read(source, record.request, data)
    if _digest(now) != digest:
        raise CorpusError(
            f"the series is not the one that this run began with: {source}",
            "bring the old one back, or start a new run with another --out",
        )
    return now


def _digest(table: Table) -> str:
    return hashlib.sha256(table_bytes(table) + repr(table.names).encode()).hexdigest()
