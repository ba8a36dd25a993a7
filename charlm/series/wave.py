"""The classic series: a sine wave, sin(t / 20), and how it is learned."""

from dataclasses import replace
from typing import Any

import numpy as np

from charlm.runs.request import BUDGETS
from charlm.series.request import SeriesRequest
from charlm.series.table import Table

SINE = "sine"
ROWS = 6_000
JUDGED = 1_000  # rows at the end
STEPS = 1_500  # a wave without noise is never known by heart: more are always better
HEAD = "squared"
PERIOD = 20  # rows in a radian


def sine_wave(noise: float, seed: int, rows: int = ROWS) -> Table:
    """Make the wave, with normal noise of a standard deviation on each value."""
    wave = np.sin(np.arange(rows) / PERIOD)
    wave += noise * np.random.default_rng(seed).standard_normal(rows)
    return Table((SINE,), wave[:, None])


def wave_request(request: SeriesRequest) -> SeriesRequest:
    """Choose for the wave what was left open: a point for each row, a thousand rows ahead.

    A plain RNN on a wave with noise has no rows to steer by: it does better to learn from them too,
    since with noise they do not tell which weights are best (docs/benchmarks.md, "Series").
    """
    usual: dict[str, Any] = {"test": str(JUDGED), "horizon": JUDGED, "head": HEAD}
    if request.cell == "rnn" and request.noise > 0:
        usual["valid"] = "0"
    if all(getattr(request, name) is None for name in BUDGETS):
        usual["steps"] = STEPS
    return replace(request, **{k: v for k, v in usual.items() if getattr(request, k) is None})
