"""From a file, standard input, an array or a data frame to a `Table`.

CSV (also with ; or tabs, and decimal commas), Parquet and .npy; CSV may be compressed (.gz, .xz,
.zst).
"""

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from charlm.errors import CorpusError, UsageError
from charlm.series.clock import Clock, insert_missing_rows, make_clock, parse_times
from charlm.series.table import Table, check_table
from charlm.text.reading import HEAD, decompressed, read_bytes, why_not_text

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?", ".", "missing"})
TIME_NAMES = frozenset({"date", "time", "datetime", "timestamp", "ds", "t", "year", "index"})
STANDARD_INPUT = "-"
SEPARATORS = ",;\t|"
SHOWN = 40  # characters of a word that an error shows
MOST_COLUMNS = 1_000
PARQUET = b"PAR1"  # at the beginning
NOT_A_TABLE = "a series is a CSV, Parquet or .npy file"


@dataclass(frozen=True)
class Asked:
    """Which columns are wanted; without `columns` all that hold numbers."""

    columns: tuple[str, ...] = ()
    time: str | None = None


def read_series(path: str, asked: Asked) -> Table:
    """Read a series from a file, or from standard input where `path` is "-".

    Raises CorpusError with the line and what is wrong there.
    """
    if path == STANDARD_INPUT:
        where, data = "standard input", sys.stdin.buffer.read()
        return _from_text(_decompressed(data, where), where, asked)
    where, data = path, _bytes_of(Path(path))
    if path.endswith(".npy"):
        return _from_npy(data, where, asked)
    if path.endswith((".parquet", ".pq")) or data.startswith(PARQUET):
        return _from_frame(_read_parquet(data, where), where, asked, first_line=1)
    return _from_text(_decompressed(data, path), where, asked)


def series_from(data: Any, asked: Asked) -> Table:  # noqa: ANN401
    """Make a series of an array (L,) or (L, C), or of a pandas Series or DataFrame.

    A data frame's index is its clock if it holds times. Raises CorpusError or UsageError.
    """
    import pandas

    if isinstance(data, pandas.Series):
        data = data.to_frame(name="value" if data.name is None else str(data.name))
    if isinstance(data, pandas.DataFrame):
        if asked.time is None and isinstance(data.index, pandas.DatetimeIndex | pandas.PeriodIndex):
            index = data.index
            stamps = index.to_timestamp() if isinstance(index, pandas.PeriodIndex) else index
            name = str(index.name or "time")
            data = data.reset_index(drop=True)
            data.insert(0, name, stamps.to_numpy())
            asked = Asked(asked.columns, name)
        return _from_frame(data, "the data frame", asked, first_line=1)
    try:
        values = np.asarray(data, dtype=np.float64)
    except (ValueError, TypeError) as fault:
        raise UsageError(
            f"a series is a path, an array of numbers or a data frame, not {type(data).__name__}",
            str(fault),
        ) from fault
    return _from_array(values, "the array", asked)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CorpusError(
            f"there is no file {path}", "charlm series train sine makes the classic wave"
        ) from None
    except IsADirectoryError:
        raise CorpusError(f"{path} is a directory; a series is one file") from None
    except OSError as fault:
        raise CorpusError(f"cannot read {path}: {fault.strerror}") from fault


def _decompressed(data: bytes, name: str) -> bytes:
    return b"".join(read_bytes(decompressed(io.BytesIO(data), name), name))


def _from_npy(data: bytes, where: str, asked: Asked) -> Table:
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
        numbers = np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError, EOFError, OSError) as fault:
        raise CorpusError(f"{where} is no .npy file of numbers: {fault}") from fault
    return _from_array(numbers, where, asked)


def _from_array(values: np.ndarray, where: str, asked: Asked) -> Table:
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise CorpusError(f"{where} has {values.ndim} dimensions; a series has rows and columns")
    if asked.time is not None:
        raise UsageError("--time names a column; an array's columns have no names")
    count = values.shape[1]
    names = ("value",) if count == 1 else tuple(f"column{n + 1}" for n in range(count))
    values = np.where(np.isfinite(values), values, np.nan)
    table = Table(names, values)
    return check_table(table.columns(asked.columns) if asked.columns else table, where)


def _read_parquet(data: bytes, where: str) -> Any:  # noqa: ANN401
    import pandas
    import pyarrow

    try:
        return pandas.read_parquet(io.BytesIO(data), engine="pyarrow")
    except (pyarrow.ArrowException, ValueError, OSError) as fault:
        raise CorpusError(f"{where} is not a readable Parquet file: {fault}") from fault


def _from_text(data: bytes, where: str, asked: Asked) -> Table:
    if why := why_not_text(data[:HEAD], "utf-8"):
        raise CorpusError(f"{where} {why[0].replace('text', 'a table')}", NOT_A_TABLE)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise CorpusError(
            f"{where}:{line}: not UTF-8: invalid byte at offset {fault.start:,}",
            "iconv -f ENCODING -t UTF-8 turns it into UTF-8",
        ) from fault
    if not text.strip():
        raise CorpusError(f"{where} is empty")
    return _from_frame(_frame_of(text, where), where, asked, first_line=2)


def _frame_of(text: str, where: str) -> Any:  # noqa: ANN401
    """Cut a CSV text into columns of words; a first row of numbers is no header."""
    import pandas

    head = text[: text.find("\n") + 1] or text
    counts = {separator: head.count(separator) for separator in SEPARATORS}
    separator = max(counts, key=lambda mark: counts[mark])
    first = next(csv.reader([head], delimiter=separator), [])
    if len(first) > MOST_COLUMNS:
        raise CorpusError(f"{where}:1: {len(first):,} columns; {MOST_COLUMNS:,} are the most")
    headless = all(_number(word) is not None for word in first if not _is_missing(word))
    names = [f"column{n + 1}" for n in range(len(first))] if len(first) > 1 else ["value"]
    keywords: dict[str, Any] = {"header": None, "names": names} if headless else {}
    try:
        frame = pandas.read_csv(
            io.StringIO(text),
            sep=separator,
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
            skipinitialspace=True,
            index_col=False,
            on_bad_lines="error",
            **keywords,
        )
    except (ValueError, pandas.errors.ParserError) as fault:
        raise CorpusError(f"{where} is no readable table: {str(fault).strip()}") from fault
    empty = (frame == "").all(axis=1) | frame.isna().all(axis=1)
    while len(frame) and bool(empty.iloc[-1]):  # lines without anything at the end
        frame, empty = frame.iloc[:-1], empty.iloc[:-1]
    if headless:
        frame.index = frame.index - 1  # so that lines are counted as in the file
    return frame


def _from_frame(frame: Any, where: str, asked: Asked, first_line: int) -> Table:  # noqa: ANN401
    names = [str(name) for name in frame.columns]
    lines = [int(number) + first_line for number in range(len(frame))]
    if len(frame) and frame.index[0] == -1:
        lines = [line - 1 for line in lines]
    for name in (*asked.columns, *(() if asked.time is None else (asked.time,))):
        if name not in names:
            from charlm.options import did_you_mean

            hint = did_you_mean(name, names) or f"it has {', '.join(names[:10])}"
            raise CorpusError(f"{where} has no column '{name}'", hint)
    frame = frame.set_axis(names, axis=1)
    clock, notes = _clock(frame, where, asked, lines)
    wanted = asked.columns or [name for name in names if clock is None or name != clock.name]
    columns, kept, left = [], [], []
    for name in wanted:
        numbers = _numbers(frame[name], where, name, lines, strict=bool(asked.columns))
        if numbers is None:
            left.append(name)
        else:
            columns.append(numbers)
            kept.append(name)
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
            raise CorpusError(f"{where}: column '{asked.time}' does not hold times alone")
        return make_clock(asked.time, times, where, lines), []
    for name in frame.columns:
        if name in asked.columns:
            continue
        numeric = all(_number(word) is not None for word in frame[name].iloc[:20].astype(str))
        if numeric and name.lower() not in TIME_NAMES:
            continue
        times = _times(frame[name])
        if times is not None:
            return make_clock(name, times, where, lines), [f"times are in column '{name}'"]
    return None, []


def _times(column: Any) -> np.ndarray | None:  # noqa: ANN401
    """Read a column of times; years may be written as numbers."""
    words = [str(word).strip() for word in column]
    if all(word.isdecimal() and len(word) == 4 for word in words):
        return parse_times([f"{word}-01-01" for word in words])
    if all(_number(word) is not None for word in words):
        return None  # counted steps: the rows' order says as much
    return parse_times(words)


def _numbers(
    column: Any,  # noqa: ANN401
    where: str,
    name: str,
    lines: Sequence[int],
    strict: bool,
) -> np.ndarray | None:
    """Read a column of numbers, (L,) float64 with NaN for missing ones.

    None where none of it is a number and it was not asked for; CorpusError where some are.
    """
    if column.dtype.kind in "fiub":
        plain = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isfinite(plain), plain, np.nan)
    words = ["" if word is None else str(word).strip() for word in column]
    numbers = [np.nan if _is_missing(word) else _number(word) for word in words]
    good = sum(number is not None for number in numbers)
    if good == len(numbers):
        return np.array(numbers, dtype=np.float64)
    present = sum(not _is_missing(word) for word in words)
    wrong = len(numbers) - good
    if not strict and wrong > present / 2:
        return None  # a column of words
    at = next(n for n, number in enumerate(numbers) if number is None)
    raise CorpusError(
        f"{where}:{lines[at]}: column '{name}' holds '{words[at][:SHOWN]}', which is no number",
        f"{wrong:,} such value{'s' * (wrong > 1)}; missing ones are left empty or written as NaN",
    )


def _is_missing(word: str) -> bool:
    return word.strip().lower() in MISSING


def _number(word: str) -> float | None:
    """Read a number, perhaps with a decimal comma; None where it is none."""
    try:
        number = float(word)
    except ValueError:
        try:
            number = float(word.replace(",", ".")) if word.count(",") == 1 else np.nan
        except ValueError:
            return None
        return None if np.isnan(number) else number
    return number if np.isfinite(number) else np.nan
