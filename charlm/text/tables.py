"""Tables of separated values: CSV and TSV, read row by row."""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from charlm.errors import CorpusError
from charlm.text.rows import MAX_ROW, TOO_LONG, Row, cut_lines, no_column, text_row

SEPARATORS = (",", ";", "\t")
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
UNCLOSED = "unexpected end of data"  # as the csv module says it


def csv_rows(texts: Iterable[str], where: str, column: str) -> Iterator[Row]:
    """Read comma-separated values (see `separated_rows`)."""
    return separated_rows(texts, where, column, ",")


def tsv_rows(texts: Iterable[str], where: str, column: str) -> Iterator[Row]:
    """Read tab-separated values (see `separated_rows`)."""
    return separated_rows(texts, where, column, "\t")


def separated_rows(texts: Iterable[str], where: str, column: str, separator: str) -> Iterator[Row]:
    """Read separated values with a header; quoted fields may hold line feeds.

    Another separator is used if only with it the header names the column. Raises CorpusError where
    the header does not name it at all.
    """
    csv.field_size_limit(max(MAX_ROW, csv.field_size_limit()))
    lines = _Lines(texts)
    try:
        header, reader = _header(lines, column, separator)
    except csv.Error as fault:
        raise CorpusError(f"{where}:1: the header is not readable ({fault})") from fault
    if not header:
        return
    if column not in header:
        raise no_column(where, column, header, header)
    index, ended = header.index(column), False
    while not ended:
        begin = lines.number + 1
        try:
            fields = next(reader, None)
        except csv.Error as fault:
            yield Row(begin, None, _why(fault, begin, lines.number))
            continue
        ended = fields is None
        if fields:
            yield _row(begin, fields, header, index)


def _row(number: int, fields: list[str], header: list[str], index: int) -> Row:
    if len(fields) != len(header):
        count = f"{len(fields)} field" + ("s" if len(fields) > 1 else "")
        return Row(number, None, f"{count} where the header has {len(header)}")
    if "\0" in fields[index]:
        return Row(number, None, "a NUL character")
    return text_row(number, fields[index], header[index])


def _why(fault: csv.Error, begin: int, last: int) -> str:
    if str(fault) == UNCLOSED:
        return f"a quote is not closed; it took all up to the last line, {last:,}"
    return str(fault) if str(fault) == TOO_LONG else f"not CSV ({fault})"


def _header(
    lines: "_Lines", column: str, separator: str
) -> tuple[list[str], "Iterator[list[str]]"]:
    """Read the first row that is not empty, and choose the separator by it."""
    first = next((line for line in lines if line.strip()), "")
    used = separator
    if column not in _names(first, separator):
        used = next((s for s in SEPARATORS if column in _names(first, s)), separator)
    reader = csv.reader(chain([first], lines), delimiter=used, strict=True)
    return [name.strip() for name in next(reader, [])], reader


def _names(line: str, separator: str) -> list[str]:
    return [name.strip().strip('"') for name in line.split(separator)]


class _Lines:
    """The lines of a text, with their ends, as the csv module takes them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.number = 0  # of the last line given
        self._lines = cut_lines(texts)
        self._waiting: list[str] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if not self._waiting:
            line = next(self._lines)
            self.number += 1
            if line is None:
                # the csv module passes this on, and begins a new row with the next line
                raise csv.Error(TOO_LONG)
            if "\r" not in line[:-1]:
                return line + "\n"
            self._waiting = LINE.findall(line + "\n")[::-1]
        return self._waiting.pop()
