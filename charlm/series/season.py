"""After how many rows a series repeats itself."""

import numpy as np

from charlm.series.table import Table

CLEARLY = 0.3  # correlation of a series with itself one season before
ALIKE = 0.9  # of the highest peak: the first as high is the season, and others multiples of it
SEASONS = 3  # must fit into it


def season_of(table: Table) -> tuple[int, bool]:
    """Give the season of a series in rows, 1 for none, and whether the calendar gave it."""
    found = None if table.clock is None or table.clock.step is None else table.clock.step.season
    if found is not None and found * SEASONS <= len(table):
        return found, True
    seasons = {repetition(column) for column in table.filled().T}
    return (seasons.pop(), False) if len(seasons) == 1 else (1, False)


def repetition(column: np.ndarray) -> int:
    """Give the lag at which a column (L,) without gaps is most like itself; 1 where none is clear.

    That is the first high peak of the autocorrelation behind its first fall below 0. A straight
    trend is taken off before.
    """
    count = len(column)
    places = np.arange(count)
    errors = column - np.polyval(np.polyfit(places, column, 1), places)
    size = 1 << (2 * count - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(errors, size)) ** 2
    products = np.fft.irfft(spectrum, size)[: count // SEASONS + 1]
    pairs = count - np.arange(len(products))
    correlation = products / pairs / max(products[0] / count, 1e-300)
    below = np.flatnonzero(correlation < 0)
    if not len(below):
        return 1
    behind = correlation[below[0] :]
    inner = behind[1:-1]
    peaks = np.flatnonzero((inner >= behind[:-2]) & (inner >= behind[2:])) + 1
    if not len(peaks):
        return 1
    best = peaks[int(np.argmax(behind[peaks] >= ALIKE * behind[peaks].max()))]
    lag = int(best + below[0])
    return lag if behind[best] >= CLEARLY else 1
