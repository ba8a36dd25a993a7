"""The classic series: a sine wave, sin(t / 20)."""

import numpy as np

from charlm.series.table import Table

SINE = "sine"
ROWS = 6_000
JUDGED = 1_000  # rows at the end
PERIOD = 20  # rows in a radian


def sine_wave(noise: float, seed: int, rows: int = ROWS) -> Table:
    """Make the wave, with normal noise of a standard deviation on each value."""
    wave = np.sin(np.arange(rows) / PERIOD)
    wave += noise * np.random.default_rng(seed).standard_normal(rows)
    return Table((SINE,), wave[:, None])
