"""From columns of words or numbers to a `Table`: which are times, and which are numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charlm.errors import CorpusError
from charlm.options import did_you_mean
from charlm.series.clock import Clock, insert_missing_rows, make_clock, parse_times, since_1970
from charlm.series.table import Table, check_table
from charlm.series.words import LARGEST, is_missing, is_number, numbers_of

TIME_NAMES = frozenset(
    {"date", "time", "datetime", "timestamp", "ds", "t", "year", "index", "ts", "epoch"}
)
TIME = re.compile(r"\d\D*[-/:.]\D*\d|\d{4}")
SHOWN = 40  # characters of a word that an error shows


@dataclass(frozen=True)
class Asked:
    """Which columns are wanted; without `columns` all that hold numbers."""

    columns: tuple[str, ...] = ()
    time: str | None = None


def table_from(frame: Any, where: str, asked: Asked, first_line: int) -> Table:  # noqa: ANN401
    """Make a table of a data frame, whose rows stand in `where` from `first_line` on."""
    names = [str(name) for name in frame.columns]
    if not len(frame):
        raise CorpusError(f"{where} has a header and no rows")
    lines = [int(number) + first_line for number in range(len(frame))]
    if len(frame) and frame.index[0] == -1:
        lines = [line - 1 for line in lines]
    for name in (*asked.columns, *(() if asked.time is None else (asked.time,))):
        if name not in names:
            hint = did_you_mean(name, names) or f"it has {', '.join(names[:10])}"
            raise CorpusError(f"{where} has no column '{name}'", hint)
    frame = frame.set_axis(names, axis=1)
    clock, notes = _clock(frame, where, asked, lines)
    wanted = asked.columns or [name for name in names if clock is None or name != clock.name]
    columns, kept, left = [], [], []
    separator = frame.attrs.get("separator", ",")
    for name in wanted:
        strict = bool(asked.columns)
        numbers = _numbers(frame[name], where, name, lines, strict, separator)
        if numbers is None:
            left.append(name)
        else:
            columns.append(numbers)
            kept.append(name)
    if not asked.columns and len(kept) > 1:
        counters = [n for n, each in zip(kept, columns, strict=True) if _counts(n, each)]
        if 0 < len(counters) < len(kept):
            notes.append(f"columns that only count the rows are left out: {', '.join(counters)}")
            chosen = [n for n, name in enumerate(kept) if name not in counters]
            kept, columns = [kept[n] for n in chosen], [columns[n] for n in chosen]
    if left:
        notes.append(f"columns without numbers are left out: {', '.join(left[:10])}")
    values = np.column_stack(columns) if columns else np.zeros((len(frame), 0))
    if clock is not None and columns:
        before = len(values)
        clock, values = insert_missing_rows(clock, values)
        if len(values) > before:
            notes.append(f"{len(values) - before:,} times are left out there: rows without values")
    return check_table(Table(tuple(kept), values, clock, tuple(notes)), where)


def _clock(
    frame: Any,  # noqa: ANN401
    where: str,
    asked: Asked,
    lines: Sequence[int],
) -> tuple[Clock | None, list[str]]:
    """Find the column of times: the one asked for, or the first that holds nothing else."""
    if asked.time is not None:
        times = _times(frame[asked.time])
        if times is None:
            raise CorpusError(
                f"{where}: column '{asked.time}' does not hold times alone",
                "a column that only counts the rows is not needed: leave out --time",
            )
        return make_clock(asked.time, times, where, lines), []
    for name in frame.columns:
        if name in asked.columns:
            continue
        begin = frame[name].iloc[:20].astype(str)
        if all(map(is_number, begin)) and name.lower() not in TIME_NAMES:
            continue
        if not all(map(TIME.search, begin)):
            continue  # words such as May, or 1,234, are no times
        times = _times(frame[name])
        if times is not None:
            return make_clock(name, times, where, lines), [f"times are in column '{name}'"]
    return None, []


def _times(column: Any) -> np.ndarray | None:  # noqa: ANN401
    """Read a column of times; years may be written as numbers."""
    words = [str(word).strip() for word in column]
    if all(word.isdecimal() and len(word) == 4 for word in words):
        return parse_times([f"{word}-01-01" for word in words])
    if all(word.isdecimal() and len(word) == 8 and word[:2] in ("19", "20") for word in words):
        return parse_times([f"{word[:4]}-{word[4:6]}-{word[6:]}" for word in words])
    if all(map(is_number, words)):
        found = since_1970(np.array([float(word) for word in words if not is_missing(word)]))
        if found is not None and len(found) == len(words):
            return found
        return None  # counted steps: the rows' order says as much
    return parse_times(words)


def _numbers(
    column: Any,  # noqa: ANN401
    where: str,
    name: str,
    lines: Sequence[int],
    strict: bool,
    separator: str,
) -> np.ndarray | None:
    """Read a column of numbers, (L,) float64 with NaN for missing ones.

    None where none of it is a number and it was not asked for; CorpusError where some are.
    """
    if column.dtype.kind in "fiub":
        plain = column.to_numpy(dtype=np.float64, na_value=np.nan)
        plain = np.where(np.isfinite(plain), plain, np.nan)
        check_size(plain, f"{where}: column '{name}'")
        return plain
    words = ["" if word is None else str(word).strip() for word in column]
    numbers = numbers_of(words, separator, f"{where}: column '{name}'")
    good = sum(number is not None for number in numbers)
    if good == len(numbers):
        found = np.array(numbers, dtype=np.float64)
        check_size(found, f"{where}: column '{name}'")
        return found
    present = sum(not is_missing(word) for word in words)
    wrong = len(numbers) - good
    if not strict and wrong > present / 2:
        return None  # a column of words
    at = next(n for n, number in enumerate(numbers) if number is None)
    raise CorpusError(
        f"{where}:{lines[at]}: column '{name}' holds '{words[at][:SHOWN]}', which is no number",
        f"{wrong:,} such value{'s' * (wrong > 1)}; missing ones are left empty or written as NaN",
    )


def _counts(name: str, values: np.ndarray) -> bool:
    """Tell whether a column only counts the rows: its values go up evenly, under a time's name."""
    steps = np.diff(values)
    even = len(steps) > 1 and bool(np.isfinite(steps).all()) and steps[0] > 0
    named = name.lower() in TIME_NAMES or name.lower() in ("n", "no", "nr", "id", "row", "#", "")
    return even and named and bool(np.allclose(steps, steps[0], rtol=1e-3))


def check_size(values: np.ndarray, where: str) -> None:
    """Raise CorpusError for numbers whose squares would be none."""
    largest = np.nanmax(np.abs(values), initial=0.0)
    if largest > LARGEST or 0 < largest < 1 / LARGEST:
        raise CorpusError(
            f"{where} holds {largest:g}: numbers reach from {1 / LARGEST:g} to {LARGEST:g}",
            "give them in another unit",
        )
