"""Where documents begin: with each file, each line, or after each blank line."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

PART = 1 << 20  # characters of one document that are held at a time


class Piece(NamedTuple):
    """A piece of a corpus: text, or bytes where it is read raw."""

    text: str | bytes
    starts_document: bool


def by_file(texts: Iterable[str | bytes]) -> Iterator[Piece]:
    """Make one document of one file's text."""
    first = True
    for text in texts:
        if text:
            yield Piece(text, first)
            first = False


def by_line(texts: Iterable[str]) -> Iterator[Piece]:
    """Make each line, with its line feed, a document."""
    for part, starts_line in _lines(texts):
        yield Piece(part, starts_line)


def by_blank_line(texts: Iterable[str]) -> Iterator[Piece]:
    """Make a document of what stands between blank lines; these belong to the document before.

    Blank lines before all text belong to the first.
    """
    held: list[str] = []
    size, begins, after_blank, blank, started = 0, True, False, True, False
    for part, starts_line in _lines(texts):
        starts = starts_line and after_blank and not part.isspace()
        if starts or size > PART:
            yield Piece("".join(held), begins)
            held, size, begins = [], 0, starts
        blank = (blank or starts_line) and part.isspace()
        started = started or not blank
        after_blank = blank and started
        held.append(part)
        size += len(part)
    if held:
        yield Piece("".join(held), begins)


SPLITTERS = {"file": by_file, "line": by_line, "blank": by_blank_line}


def _lines(texts: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Cut into lines with their line feeds; a line of more than `PART` comes in several parts."""
    rest, starts_line = "", True
    for text in texts:
        *whole, rest = (rest + text).split("\n")
        for line in whole:
            yield line + "\n", starts_line
            starts_line = True
        if len(rest) > PART:
            yield rest, starts_line
            rest, starts_line = "", False
    if rest:
        yield rest, starts_line
