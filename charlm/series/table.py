"""A series in memory: columns of numbers, one row for each step of time.

Legend: L rows, C columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from charlm.errors import CorpusError
from charlm.series.clock import Clock

LEAST_ROWS = 16  # from which a network can be trained and judged at all


@dataclass(frozen=True)
class Table:
    """A numeric series.

    names:  of the columns
    values: (L, C) float64, NaN where a value is missing
    clock:  when each row was, where that is known
    notes:  what was found and done while it was read, for the user
    """

    names: tuple[str, ...]
    values: np.ndarray
    clock: Clock | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def known(self) -> np.ndarray:
        """Tell which values are not missing, (L, C)."""
        known: np.ndarray = np.isfinite(self.values)
        return known

    def rows(self, start: int, end: int | None = None) -> "Table":
        """Take the rows from `start` on, up to `end`."""
        clock = None if self.clock is None else self.clock.rows(start, end)
        return replace(self, values=self.values[start:end], clock=clock)

    def columns(self, names: Sequence[str]) -> "Table":
        """Take columns by their names, in this order; raise CorpusError for a missing one."""
        for name in names:
            if name not in self.names:
                raise CorpusError(
                    f"the series has no column '{name}'", f"it has {', '.join(self.names)}"
                )
        chosen = [self.names.index(name) for name in names]
        return replace(self, names=tuple(names), values=self.values[:, chosen])

    def filled(self) -> np.ndarray:
        """Give the values, (L, C), with the last known one where one is missing.

        That looks at nothing later, but before a column's first known value, where that one stands.
        """
        return forward_filled(self.values)


def forward_filled(values: np.ndarray) -> np.ndarray:
    """Put the last known value in the place of each missing one, along the rows of (L, C)."""
    known = np.isfinite(values)
    last = np.where(known, np.arange(len(values))[:, None], -1)
    last = np.maximum.accumulate(last, axis=0)
    first = known.argmax(axis=0)  # of each column
    filled: np.ndarray = np.take_along_axis(values, np.where(last < 0, first, last), axis=0)
    return filled


def check_table(table: Table, where: str) -> Table:
    """Leave out rows before any value is known; raise CorpusError for what is no series.

    That is one without columns, with a column of missing values alone or of one value alone, or
    of fewer than LEAST_ROWS rows.
    """
    if not table.names:
        raise CorpusError(
            f"{where} has no column of numbers", "--column NAME says which one is the series"
        )
    known = table.known
    for name, column, there in zip(table.names, table.values.T, known.T, strict=True):
        if not there.any():
            raise CorpusError(f"{where}: column '{name}' holds no number, only missing values")
        if np.ptp(column[there]) == 0:
            value = column[there][0]
            raise CorpusError(
                f"{where}: column '{name}' is constant: each of its {there.sum():,} values is "
                f"{value:g}",
                "there is nothing to predict; --column chooses others",
            )
    start = int(known.any(axis=1).argmax())
    table = table.rows(start)
    if len(table) < LEAST_ROWS:
        rows = f"{len(table)} row" + ("s" if len(table) != 1 else "")
        raise CorpusError(f"{where} has {rows}; a series needs {LEAST_ROWS} at least")
    missing = int((~table.known).sum())
    notes = table.notes
    if missing:
        notes += (
            f"{missing:,} of {table.values.size:,} values are missing or infinite: the last known "
            "one is read in their place; they are neither learned nor scored",
        )
    return replace(table, notes=notes)
