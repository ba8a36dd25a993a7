"""The rows that a series network reads: scaled values, what is known, and the season before.

Legend: L rows, C columns, M rows in a season.

A row is [values | known | lagged], 3 C numbers: the scaled values of a step, with the last known
one in a gap; 1 where a value is known and 0 in a gap; and the values one season before the step
that comes next (lags of the target, as in DeepAR: Salinas et al. 2020, arXiv 1704.04110). The
target is the next row's values, where they are known. A network may leave parts of a row unread.
"""

from dataclasses import dataclass

import numpy as np

from charlm.series.scaling import Scaling
from charlm.series.table import Table

PARTS = 3


@dataclass(frozen=True)
class Features:
    """What of a row is read.

    columns: C
    gaps:    whether the marks of what is known are read: there were gaps in the training part
    lag:     M, or 0 where the season before is not read
    """

    columns: int
    gaps: bool = False
    lag: int = 0

    @property
    def input_size(self) -> int:
        """Count the numbers read of a row."""
        return self.columns * (1 + self.gaps + (self.lag > 0))

    def rows(self, table: Table, scaling: Scaling) -> np.ndarray:
        """Make the rows of a series, (L, 3 C) float32."""
        values = scaling.encode(table.filled())
        known = table.known.astype(np.float64)
        if scaling.differs:
            known[:1] = 0.0  # there is no change into the first row
        rows = np.concatenate([values, known, self.lagged(values)], axis=1)
        return rows.astype(np.float32)

    def lagged(self, values: np.ndarray) -> np.ndarray:
        """Give what stood one season before each next step, (L, C); 0 where nothing did."""
        found = np.zeros_like(values)
        if self.lag:
            behind = self.lag - 1  # rows before the one that is read
            found[behind:] = values[: max(0, len(values) - behind)]
        return found

    def read(self, values: np.ndarray, known: np.ndarray, lagged: np.ndarray) -> np.ndarray:
        """Put together what a network reads, (..., I), of the parts of its rows, (..., C) each."""
        parts = [values, *([known] if self.gaps else []), *([lagged] if self.lag else [])]
        return np.concatenate(parts, axis=-1)

    def chosen(self) -> list[int]:
        """Give the places in a row of what a network reads."""
        count = self.columns
        parts = [0, *([1] if self.gaps else []), *([2] if self.lag else [])]
        return [part * count + column for part in parts for column in range(count)]
