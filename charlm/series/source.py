"""From what names a series on the command line, or holds it in Python, to a table."""

from pathlib import Path
from typing import Any

from charlm.errors import UsageError
from charlm.series.columns import Asked
from charlm.series.reading import read_series, series_from
from charlm.series.request import SeriesRequest
from charlm.series.table import Table
from charlm.series.wave import SINE, sine_wave

ARRAY = "array"  # the name of a series that came as one, and not in a file


def read_source(source: str, request: SeriesRequest, data: Any = None) -> Table:  # noqa: ANN401
    """Read the series that a run is to learn from.

    data: an array or a data frame, instead of what `source` names; or a table that was read before
    """
    if isinstance(data, Table):
        return data
    asked = Asked(_columns(request.column), request.time)
    if data is not None:
        return series_from(data, asked)
    if is_wave(source):
        return sine_wave(request.noise, request.seed)
    if request.noise:
        raise UsageError("--noise is for the built-in wave: charlm series train sine --noise 0.05")
    return read_series(source, asked)


def is_wave(source: str) -> bool:
    """Tell whether the classic wave is meant, and not a file of its name."""
    return source == SINE and not Path(SINE).exists()


def _columns(words: str | None) -> tuple[str, ...]:
    """Cut the names of columns at commas."""
    return () if words is None else tuple(word.strip() for word in words.split(","))
