"""Where text comes from: files, directories, globs, standard input, or what ships with Python.

A `Corpus` can be walked as often as needed and is read in pieces of a megabyte, never as a whole.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

from charlm.errors import CorpusError
from charlm.options import check
from charlm.text.documents import PART, SPLITTERS, Piece
from charlm.text.formats import Format
from charlm.text.parquet import parquet_rows
from charlm.text.reading import (
    HEAD,
    MAX_INVALID,
    Decoding,
    check_encoding,
    decompressed,
    read_bytes,
    read_errors,
    why_not_text,
)
from charlm.text.rows import Row, json_rows
from charlm.text.tables import csv_rows, tsv_rows

ROW_READERS = {"jsonl": json_rows, "csv": csv_rows, "tsv": tsv_rows}
SHOWN = 3  # broken rows that a report names


@dataclass(frozen=True)
class ReadOptions:
    """How the bytes of files become text and documents. `raw` leaves them bytes, unaltered."""

    encoding: str = "utf-8"
    strict: bool = False
    documents: Literal["file", "line", "blank"] = "file"
    raw: bool = False
    text_column: str = "text"

    def __post_init__(self) -> None:
        check_encoding(self.encoding)
        check(self.text_column != "", "--text-column needs a name")


@dataclass
class ReadReport:
    """What a walk over a corpus met on its way."""

    files: int = 0
    bytes: int = 0
    invalid_bytes: int = 0
    first_invalid: str | None = None
    byte_order_marks: int = 0
    zero_bytes: int = 0
    skipped: list[str] = field(default_factory=list)
    rows: int = 0
    broken_rows: int = 0
    broken: list[str] = field(default_factory=list)

    def note(self, decoding: Decoding) -> None:
        """Take note of a file that is read to its end."""
        self.bytes += decoding.size
        self.byte_order_marks += decoding.byte_order_mark
        if decoding.invalid_bytes and self.first_invalid is None:
            self.first_invalid = f"{decoding.where}, {decoding.place}"
        self.invalid_bytes += decoding.invalid_bytes

    def lines(self) -> list[str]:
        """Say in sentences what a user should know; nothing where there is nothing to tell."""
        told = []
        if self.invalid_bytes:
            told.append(
                f"{self.invalid_bytes:,} invalid bytes became U+FFFD, the first at "
                f"{self.first_invalid} (--strict refuses them)"
            )
        if self.zero_bytes:
            told.append(f"{self.zero_bytes:,} NUL characters are in the text; they are kept")
        if self.broken_rows:
            told.append(
                f"skipped {self.broken_rows:,} broken of {self.rows:,} rows (--strict refuses "
                f"them): {'; '.join(self.broken)}{_more(self.broken_rows)}"
            )
        if self.skipped:
            more = _more(len(self.skipped))
            told.append(f"skipped {len(self.skipped):,}: {'; '.join(self.skipped[:SHOWN])}{more}")
        return told


def _more(count: int) -> str:
    return f" and {count - SHOWN:,} more" if count > SHOWN else ""


@dataclass(frozen=True)
class Source:
    """One stream of bytes, or one table of rows, that can be read again and again.

    identity: what tells it from another, for the cache
    rows:     gives the rows of a text column, where there are no bytes to open
    look:     looks anew at what shows that it was changed; `seen` is what it showed at first
    """

    name: str
    open: Callable[[], BinaryIO]
    identity: dict[str, Any]
    size: int | None = None
    format: Format = "text"
    rows: Callable[[str], Iterator[Row]] | None = None
    look: Callable[[], object] | None = None
    seen: object = None


class Corpus:
    """Texts to learn from or to score, one after the other."""

    def __init__(
        self, name: str, sources: list[Source], options: ReadOptions, skipped: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.options = options
        self._sources = sources
        self._skipped = list(skipped)
        self._report = ReadReport()
        self._temporary: list[str] = []

    def pieces(self) -> Iterator[Piece]:
        """Walk over the text from its beginning."""
        self._report = ReadReport(skipped=list(self._skipped))
        split = SPLITTERS["file" if self.options.raw else self.options.documents]
        for source in self._sources:
            self._report.files += 1
            with _unchanged(source):
                for texts in self._documents(source):
                    yield from split(texts)  # type: ignore[arg-type]

    @property
    def size(self) -> int | None:
        """Count the bytes that the sources take up; None where one does not tell."""
        sizes = [source.size for source in self._sources]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def report(self) -> ReadReport:
        """Tell what the last walk met."""
        return self._report

    def where(self) -> str:
        """Name the sources for a message."""
        names = [source.name for source in self._sources]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    def nothing_in_it(self) -> CorpusError:
        """Make the error for a corpus in which there is no text."""
        return CorpusError(f"there is no text in {self.where()}")

    def fingerprint(self) -> dict[str, Any]:
        """Give what tells this corpus from a changed one, as plain data."""
        sources = [source.identity for source in self._sources]
        return {"sources": sources, "options": asdict(self.options)}

    def close(self) -> None:
        """Remove what standard input was kept in."""
        for path in self._temporary:
            with suppress(OSError):
                Path(path).unlink()

    def keep_until_close(self, path: str) -> None:
        """Remember a temporary file that is the corpus's own."""
        self._temporary.append(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def _documents(self, source: Source) -> Iterator[Iterable[str | bytes]]:
        """Give the text of a source, or that of each of its rows."""
        if source.rows is None and (self.options.raw or source.format == "text"):
            yield self._texts(source)
            return
        for text in self._row_texts(source):
            parts = (text[i : i + PART] for i in range(0, len(text), PART))
            yield (part.encode() for part in parts) if self.options.raw else parts

    def _texts(self, source: Source) -> Iterator[str | bytes]:
        with open_source(source) as stream:
            if self.options.raw:
                yield from self._raw(stream, source)
                return
            for text in self._decoded(stream, source):
                self._report.zero_bytes += text.count("\0")
                yield text

    def _row_texts(self, source: Source) -> Iterator[str]:
        """Give the texts of rows; take note of the broken ones, or refuse them."""
        good, report, before = False, self._report, self._report.rows
        first_broken: str | None = None
        for row in self._rows(source):
            report.rows += 1
            if row.text is None:
                broken = f"{source.name}:{row.number}: {row.why}"
                first_broken = first_broken or broken
                self._note_broken(broken)
                continue
            good = True
            report.zero_bytes += row.text.count("\0")
            yield row.text
        if report.rows > before and not good:
            raise CorpusError(
                f"not one of the {report.rows - before:,} rows of {source.name} can be read",
                first_broken,
            )

    def _rows(self, source: Source) -> Iterator[Row]:
        column = self.options.text_column
        if source.rows is not None:
            yield from source.rows(column)
            return
        with open_source(source) as stream:
            if source.format == "parquet":
                self._report.bytes += source.size or 0
                yield from parquet_rows(stream, source.name, column)
            else:
                read = ROW_READERS[source.format]
                yield from read(self._decoded(stream, source), source.name, column)

    def _note_broken(self, broken: str) -> None:
        if self.options.strict:
            raise CorpusError(broken, "leave out --strict to have broken rows skipped")
        self._report.broken_rows += 1
        if len(self._report.broken) < SHOWN:
            self._report.broken.append(broken)

    def _raw(self, stream: BinaryIO, source: Source) -> Iterator[bytes]:
        for data in read_bytes(stream, source.name):
            self._report.bytes += len(data)
            yield data

    def _decoded(self, stream: BinaryIO, source: Source) -> Iterator[str]:
        decoding = Decoding(self.options.encoding, source.name)
        for data in read_bytes(decompressed(stream, source.name), source.name):
            if decoding.size == 0 and (why := why_not_text(data[:HEAD], self.options.encoding)):
                raise CorpusError(f"{source.name} {why[0]}", why[1])
            text = decoding.decode(data)
            self._judge(decoding, at_end=False)
            yield text
        yield decoding.decode(b"", final=True)
        self._judge(decoding, at_end=True)

    def _judge(self, decoding: Decoding, at_end: bool) -> None:
        """Refuse a file with too many invalid bytes; take note of the others at their end."""
        if decoding.invalid_bytes:
            share = decoding.invalid_share
            if self.options.strict or (share > MAX_INVALID and (at_end or share > 0.02)):
                raise decoding.refusal()
        if at_end:
            self._report.note(decoding)


def open_source(source: Source) -> BinaryIO:
    """Open a source; raise CorpusError if it has become unreadable."""
    with read_errors(source.name):
        return source.open()


@contextmanager
def _unchanged(source: Source) -> Iterator[None]:
    """Raise CorpusError where a source is changed while it is read."""
    try:
        yield
    except CorpusError as fault:
        # what looks like damage may be half of a new file
        raise (_changed(source) or fault) from fault.__cause__
    if error := _changed(source):
        raise error


def _changed(source: Source) -> CorpusError | None:
    if source.look is None or source.look() == source.seen:
        return None
    return CorpusError(
        f"{source.name} changed while it was read", "start again when it is complete"
    )
