"""From a file, standard input, an array or a data frame to a `Table`.

CSV (also with ; or tabs, and decimal commas), Parquet and .npy; CSV may be compressed (.gz, .xz,
.zst).
"""

import csv
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np

from charlm.errors import CorpusError, UsageError
from charlm.series.columns import Asked, check_size, table_from
from charlm.series.table import Table, check_table
from charlm.series.words import is_number
from charlm.text.reading import HEAD, decompressed, read_bytes, why_not_text

STANDARD_INPUT = "-"
SEPARATORS = ",;\t|"
MOST_COLUMNS = 1_000
NUMPY = b"\x93NUMPY"
PARQUET = b"PAR1"  # at the beginning
NOT_A_TABLE = "a series is a CSV, Parquet or .npy file"


def read_series(path: str, asked: Asked) -> Table:
    """Read a series from a file, or from standard input where `path` is "-".

    Raises CorpusError with the line and what is wrong there.
    """
    if path == STANDARD_INPUT:
        where, data = "standard input", sys.stdin.buffer.read()
        if data.startswith(PARQUET):
            return table_from(_read_parquet(data, where), where, asked, first_line=1)
        if data.startswith(NUMPY):
            return _from_npy(data, where, asked)
        return _from_text(_decompressed(data, where), where, asked)
    where, data = path, _bytes_of(Path(path))
    if path.endswith(".npy"):
        return _from_npy(data, where, asked)
    if path.endswith((".parquet", ".pq")) or data.startswith(PARQUET):
        return table_from(_read_parquet(data, where), where, asked, first_line=1)
    return _from_text(_decompressed(data, path), where, asked)


def series_from(data: Any, asked: Asked) -> Table:  # noqa: ANN401
    """Make a series of an array (L,) or (L, C), or of a pandas Series or DataFrame.

    A data frame's index is its clock if it holds times. Raises CorpusError or UsageError.
    """
    import pandas

    if isinstance(data, pandas.Series):
        data = data.to_frame(name="value" if data.name is None else str(data.name))
    if isinstance(data, pandas.DataFrame):
        if not data.columns.is_unique:
            raise UsageError("the data frame has several columns of one name")
        if asked.time is None and isinstance(data.index, pandas.DatetimeIndex | pandas.PeriodIndex):
            data, asked = _with_index(data, asked)
        return table_from(data, "the data frame", asked, first_line=1)
    try:
        values = np.asarray(data, dtype=np.float64)
    except (ValueError, TypeError) as fault:
        raise UsageError(
            f"a series is a path, an array of numbers or a data frame, not {type(data).__name__}",
            str(fault),
        ) from fault
    return _from_array(values, "the array", asked)


def _with_index(data: Any, asked: Asked) -> tuple[Any, Asked]:  # noqa: ANN401
    """Make a data frame's index of times its first column, and ask for it."""
    import pandas

    index = data.index
    if isinstance(index, pandas.PeriodIndex):
        index = index.to_timestamp()
    elif index.tz is not None:  # days begin at midnight where they are counted
        local = index.tz_localize(None)
        index = local if (local.normalize() == local).all() else index.tz_convert(None)
    name = str(data.index.name or "time")
    while name in data.columns:
        name += "_"
    data = data.reset_index(drop=True)
    data.insert(0, name, index.to_numpy())
    return data, Asked(asked.columns, name)


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
        if values.dtype.kind not in "fiub":
            raise ValueError(f"it holds {values.dtype}")
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
    check_size(values, where)
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
    return table_from(_frame_of(text, where), where, asked, first_line=2)


def _frame_of(text: str, where: str) -> Any:  # noqa: ANN401
    """Cut a CSV text into columns of words; a first row of numbers is no header."""
    import pandas

    head = text[: text.find("\n") + 1] or text
    counts = {separator: head.count(separator) for separator in SEPARATORS}
    separator = max(counts, key=lambda mark: counts[mark])
    try:
        first = next(csv.reader([head], delimiter=separator), [])
    except csv.Error as fault:
        raise CorpusError(f"{where}:1: the header is not readable ({fault})") from fault
    if len(first) > MOST_COLUMNS:
        raise CorpusError(f"{where}:1: {len(first):,} columns; {MOST_COLUMNS:,} are the most")
    headless = all(is_number(word) for word in first)
    names = [f"column{n + 1}" for n in range(len(first))] if len(first) > 1 else ["value"]
    keywords: dict[str, Any] = {"header": None, "names": names} if headless else {}
    _check_fields(text, separator, len(first), where)
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
    frame.attrs["separator"] = separator
    return frame


def _check_fields(text: str, separator: str, count: int, where: str) -> None:
    """Raise CorpusError for a line with more fields than the first."""
    if count * text.count("\n") + count > text.count(separator) + text.count("\n") + 1:
        return  # there are fewer separators than the lines may have
    try:
        for line, fields in enumerate(csv.reader(io.StringIO(text), delimiter=separator), 1):
            if len(fields) > count:
                raise CorpusError(
                    f"{where}:{line}: {len(fields)} fields where the first line has {count}"
                )
    except csv.Error as fault:
        raise CorpusError(f"{where} is no readable table: {fault}") from fault
