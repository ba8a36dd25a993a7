"""Rows of text: one document each, out of JSON Lines, CSV, Parquet or a dataset of the Hub.

A row that cannot be read does not end the walk: it comes as a `Row` without text that says why.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from charlm.errors import CorpusError

MAX_ROW = 1 << 26  # characters of the longest row that is read
TOO_LONG = f"longer than {MAX_ROW:,} characters"
MAX_SHOWN = 8  # columns that a message lists
SURROGATE = re.compile("[\ud800-\udfff]")
DECODER = json.JSONDecoder(parse_int=float)  # so that a million digits take no time
KINDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a truth value",
    float: "a number",
}


class Row(NamedTuple):
    """One row: its text, or, where there is none, why."""

    number: int  # of its first line in a file of lines, of the row in a table; from 1
    text: str | None
    why: str = ""


def json_rows(texts: Iterable[str], where: str, column: str) -> Iterator[Row]:
    """Read JSON Lines: an object on each line, whose field `column` is the text.

    Raises CorpusError at the end where no line had such a field. Of a field given twice the last
    counts, as for most readers of JSON.
    """
    others: dict[str, bool] = {}  # fields of the lines without it, and whether they are strings
    found = False
    for number, line in enumerate(cut_lines(texts), 1):
        if line is None:
            yield Row(number, None, TOO_LONG)
        elif line and not line.isspace():
            value, why = _json_value(line)
            if isinstance(value, dict) and column not in value and not found:
                others |= {name: isinstance(field, str) for name, field in value.items()}
                others = dict(list(others.items())[:1000])
            found = found or (isinstance(value, dict) and column in value)
            yield Row(number, None, why) if why else _json_row(number, value, column)
    if others and not found:
        raise no_column(where, column, list(others), [name for name in others if others[name]])


def cut_lines(texts: Iterable[str]) -> Iterator[str | None]:
    """Cut a text that comes in pieces into lines, without their feeds; None for one too long."""
    held: list[str] = []
    size = 0
    for text in texts:
        *ends, rest = text.split("\n")
        for end in ends:
            if size:
                yield "".join([*held, end]) if size + len(end) <= MAX_ROW else None
                held, size = [], 0
            else:
                yield end if len(end) <= MAX_ROW else None
        size += len(rest)
        if size <= MAX_ROW:
            held.append(rest)
        else:
            held.clear()
    if size:
        yield "".join(held) if size <= MAX_ROW else None


def no_column(
    where: str, column: str, columns: Sequence[str], strings: Sequence[str]
) -> CorpusError:
    """Make the error for a table without the text column; `strings` are those that could be it."""
    shown = ", ".join(name if len(name) <= 40 else name[:39] + "…" for name in columns[:MAX_SHOWN])
    more = f" and {len(columns) - MAX_SHOWN:,} more" if len(columns) > MAX_SHOWN else ""
    meant = strings[0] if len(strings) == 1 else "NAME"
    return CorpusError(
        f"{where} has no column '{column}' to take the text from; it has {shown}{more}",
        f"pass --text-column {meant}",
    )


def _json_value(line: str) -> tuple[Any, str]:
    """Parse a line; give its value, or why it has none."""
    try:
        return DECODER.decode(line), ""
    except json.JSONDecodeError as fault:
        return None, f"not JSON ({fault.msg}, column {fault.colno})"
    except RecursionError:
        return None, "not read: nested too deeply"


def _json_row(number: int, value: Any, column: str) -> Row:  # noqa: ANN401
    if not isinstance(value, dict):
        return Row(number, None, f"{_kind(value)}, not an object")
    if column not in value:
        return Row(number, None, f"no field '{column}'")
    return text_row(number, value[column], column)


def text_row(number: int, value: Any, column: str) -> Row:  # noqa: ANN401
    """Make a row of a value that should be text."""
    if not isinstance(value, str):
        return Row(number, None, f"'{column}' is {_kind(value)}, not a string")
    if len(value) > MAX_ROW:
        return Row(number, None, TOO_LONG)
    if not value.isascii() and (half := SURROGATE.search(value)):
        code = f"U+{ord(half.group()):04X}"
        return Row(number, None, f"'{column}' holds half of a surrogate pair, {code}")
    return Row(number, value)


def _kind(value: Any) -> str:  # noqa: ANN401
    return "null" if value is None else KINDS.get(type(value), f"a {type(value).__name__}")
