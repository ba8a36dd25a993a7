"""From a series to a trained model directory: the whole of `charlm series train`."""

import os
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO

from charlm.errors import CorpusError, ModelError, UsageError
from charlm.options import did_you_mean, without_paths
from charlm.runs.dialogue import NeverStop, Stop, teller
from charlm.runs.place import Place, find_place
from charlm.series.directory import SERIES, digest, read_table
from charlm.series.handle import SeriesModel, load
from charlm.series.request import SeriesRequest
from charlm.series.result import SeriesResult
from charlm.series.run import Run
from charlm.series.source import ARRAY, is_wave, read_source
from charlm.series.table import Table
from charlm.series.wave import wave_request
from charlm.sinks.names import require
from charlm.training.memory import memory_errors
from charlm.training.precision import choose_device
from charlm.training.task import TrainState

NAMES = [field.name for field in fields(SeriesRequest)]


def train(data: Any, **options: Any) -> SeriesModel:  # noqa: ANN401
    """Train a model on a series: a path, "sine", an array (L,) or (L, C), or a data frame.

    Options are those of `charlm series train`: column, head, cell, hidden, steps, test, out, ...
    Raises a CharlmError for whatever is wrong.
    """
    if unknown := sorted(options.keys() - set(NAMES)):
        hint = did_you_mean(unknown[0], NAMES) or "see charlm series train --help"
        raise UsageError(f"unknown option '{unknown[0]}'", hint)
    request = SeriesRequest(**{k: v for k, v in without_paths(options).items() if v is not None})
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
    if data is None and is_wave(source):
        request = wave_request(request)
    place = find_place([source], request)
    if place.why is not None:
        tell(place.why)
    if place.finished:
        return finished_result(place.directory)
    table = None if place.record is not None else read_source(source, request, data)
    with place.opened():
        if place.record is not None:
            for name, (before, now) in place.record.changes(request).items():
                tell(f"changed: {name.replace('_', '-')} {before} -> {now}")
            table = _kept_table(place, source, request, data)
        assert table is not None
        run = Run(place.directory, source, request, table, device, place.record)
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


def _kept_table(
    place: Place[SeriesRequest],
    source: str,
    request: SeriesRequest,
    data: Any,  # noqa: ANN401
) -> Table:
    """Read the series that a run began with; raise CorpusError where another one is given now."""
    record = place.record
    assert record is not None
    kept, named = place.directory / SERIES, record.corpus["sha256"]
    table = read_table(kept, record.settled.get("series")) if kept.exists() else None
    if table is not None and digest(table) != named:
        raise ModelError(f"{kept} is damaged", "--force starts the run anew")
    again = data is not None or is_wave(source) or Path(source).is_file()
    if table is not None and not again:
        return table  # the file is gone, or was standard input: what was kept will do
    now = read_source(source, record.request, data)
    if digest(now) != named:
        raise CorpusError(
            f"the series is not the one that this run began with: {source}",
            "bring the old one back, or start a new run with another --out",
        )
    return now
