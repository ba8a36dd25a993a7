"""A forecast as a picture: the end of the series, what comes next, and the band around it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charlm import storage
from charlm.evaluation.plots import COLOURS, own_style, png_bytes, printable
from charlm.series.forecast import Forecast
from charlm.series.handle import SeriesModel
from charlm.series.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 9.0, 3.4  # inches of a panel
SHOWN = 3  # times as many rows of history as of forecast, at least
LEAST_SHOWN = 100
MOST_PANELS = 12
MOST_SAMPLES = 20  # drawn
TICKS = 6


def write_forecast_plot(path: str, model: SeriesModel, forecast: Forecast, data: Any) -> None:  # noqa: ANN401
    """Write a PNG; raise UsageError without matplotlib, DiskError where it cannot be written."""
    table = model.table if data is None else model.read(data)
    storage.write_bytes(Path(path), forecast_plot(table, forecast, str(model.directory)))


def forecast_plot(table: Table, forecast: Forecast, title: str) -> bytes:
    """Draw a panel for each column, one below the other; give a PNG."""
    with own_style():
        from matplotlib.figure import Figure

        count = min(len(forecast.names), MOST_PANELS)
        size = (WIDTH, HEIGHT * count + 0.5)
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle(printable(title), fontsize=12, parse_math=False)
        panels = figure.subplots(count, 1, squeeze=False)[:, 0]
        for number, axes in enumerate(panels):
            _draw(axes, table, forecast, number)
        panels[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.2)
        return png_bytes(figure)


def _draw(axes: "Axes", table: Table, forecast: Forecast, column: int) -> None:
    """Draw one column: rows are numbered on from the series' first, and ticks say their times."""
    horizon, total = len(forecast.points), len(table)
    start = max(0, total - max(LEAST_SHOWN, SHOWN * horizon))
    before, ahead = np.arange(start, total), np.arange(total, total + horizon)
    axes.plot(before, table.values[start:, column], color="#555555", lw=1.2, label="the series")
    if len(forecast.levels) > 1:
        low, high = _band(forecast, column)
        share = max(forecast.levels) - min(forecast.levels)
        label = f"{100 * share:.0f} % band"
        axes.fill_between(ahead, low, high, color=COLOURS[0], alpha=0.2, lw=0, label=label)
    for sample in forecast.samples[:MOST_SAMPLES]:
        axes.plot(ahead, sample[:, column], color=COLOURS[0], alpha=0.35, lw=0.7)
    last = table.filled()[-1, column]
    axes.plot(
        [total - 1, *ahead],
        [last, *forecast.points[:, column]],
        color=COLOURS[0],
        lw=1.6,
        label="forecast",
    )
    axes.axvline(total - 0.5, color="#999999", lw=0.8, ls=":")
    axes.set_ylabel(printable(forecast.names[column]), parse_math=False)
    axes.margins(x=0.01)
    if table.clock is not None:
        _label(axes, [*table.clock.labels()[start:], *forecast.times], start)


def _band(forecast: Forecast, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the lowest and the highest quantile that there are."""
    order = np.argsort(forecast.levels)
    return forecast.quantiles[:, column, order[0]], forecast.quantiles[:, column, order[-1]]


def _label(axes: "Axes", words: list[str], start: int) -> None:
    places = np.unique(np.linspace(0, len(words) - 1, TICKS).round().astype(int))
    axes.set_xticks(places + start, [words[place] for place in places])
