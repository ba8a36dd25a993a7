"""The whole of `charlm series tune`: which series, what of it is searched, and the search."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from charlm.errors import UsageError
from charlm.options import did_you_mean
from charlm.series.directory import SERIES, read_table
from charlm.series.request import SeriesRequest
from charlm.series.source import ARRAY, is_wave, read_source
from charlm.series.table import Table
from charlm.series.wave import wave_request
from charlm.sinks.names import require as require_sinks
from charlm.tuning.options import SERIES_FIXABLE, SeriesTuneOptions
from charlm.tuning.record import read_study
from charlm.tuning.report import TuneReport
from charlm.tuning.series import SeriesObjective
from charlm.tuning.tune import find_study, require, search


def tune_series(data: Any, **options: Any) -> TuneReport:  # noqa: ANN401
    """Search for better options than charlm's own plan for a series, as `charlm series tune` does.

    data:    a path, "sine", an array (L,) or (L, C), or a data frame
    options: those of `charlm series tune`: steps or minutes (of each trial), trials, study, and
             those of `charlm.series.train` that all trials shall have
    Scores are errors on the rows to steer by, one step ahead; the rows kept back are not read.
    `charlm.series.train(data, **report.best.options)` trains the best anew and judges it on these.
    Raises a CharlmError for whatever is wrong.
    """
    names = SeriesTuneOptions.__dataclass_fields__.keys() - {"train_best", "out"}
    own = {name: options.pop(name) for name in names if name in options}
    known = (*SERIES_FIXABLE, *names)
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known) or "see charlm series tune --help"
            raise UsageError(f"unknown option '{name}'", hint)
    asked = SeriesTuneOptions(**own)
    require(asked)
    named = isinstance(data, str | Path)
    source, rows = (str(data), None) if named else (ARRAY, data)
    objective, asked = series_asked_for(source, options, asked, rows)
    return search(objective, asked, find_study(objective, asked))


def series_asked_for(
    source: str,
    given: Mapping[str, Any],
    options: SeriesTuneOptions,
    data: Any = None,  # noqa: ANN401
) -> tuple[SeriesObjective, SeriesTuneOptions]:
    """Give what is to be tuned, and the options with the budget of a trial: the plan's, if none.

    What is `given` is not searched. Raises CorpusError for what is no series.
    """
    named: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    request = SeriesRequest(**(named | options.budget))
    require_sinks(request.sinks)
    if data is None and is_wave(source):
        request = wave_request(request)
    table = None
    if data is None and not Path(source).is_file():
        table = _kept_table(options)  # the file is gone, or was standard input
    if table is None:
        table = read_source(source, request, data)
    objective = SeriesObjective(source, request, table, named)
    return objective, replace(options, steps=objective.request.steps)


def _kept_table(options: SeriesTuneOptions) -> Table | None:
    """Read the series that a study keeps; None where there is none."""
    if options.study is None:
        return None
    directory = Path(options.study)
    record = read_study(directory)
    if record is None or "series" not in record.settled or not (directory / SERIES).exists():
        return None
    return read_table(directory / SERIES, record.settled["series"])
