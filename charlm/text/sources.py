"""Where text comes from: files, directories, globs, standard input, or what ships with Python.

A `Corpus` can be walked as often as needed and is read in pieces of a megabyte, never as a whole.
"""

import difflib
import glob
import hashlib
import importlib
import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, Literal, Self

from charlm.errors import CharlmError, CorpusError
from charlm.storage import disk_errors
from charlm.text.documents import SPLITTERS, Piece
from charlm.text.reading import (
    HEAD,
    MAX_INVALID,
    PIECE,
    Decoding,
    check_encoding,
    decompressed,
    encoding_is_single_byte,
    read_bytes,
    why_not_text,
)

BUILTIN = "python-topics"


@dataclass(frozen=True)
class ReadOptions:
    """How the bytes of files become text and documents. `raw` leaves them bytes, unaltered."""

    encoding: str = "utf-8"
    strict: bool = False
    documents: Literal["file", "line", "blank"] = "file"
    raw: bool = False

    def __post_init__(self) -> None:
        check_encoding(self.encoding)


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
        if self.skipped:
            more = f" and {len(self.skipped) - 3:,} more" if len(self.skipped) > 3 else ""
            told.append(f"skipped {len(self.skipped):,}: {'; '.join(self.skipped[:3])}{more}")
        return told


@dataclass(frozen=True)
class Source:
    """One stream of bytes that can be opened again and again."""

    name: str
    open: Callable[[], BinaryIO]
    identity: dict[str, Any]
    size: int | None = None


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
            yield from split(self._texts(source))  # type: ignore[arg-type]

    def report(self) -> ReadReport:
        """Tell what the last walk met."""
        return self._report

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

    def _texts(self, source: Source) -> Iterator[str | bytes]:
        self._report.files += 1
        stream = _open(source)
        if self.options.raw:
            for data in read_bytes(stream, source.name):
                self._report.bytes += len(data)
                yield data
            return
        decoding = Decoding(self.options.encoding, source.name)
        for data in read_bytes(decompressed(stream), source.name):
            if decoding.size == 0 and (why := why_not_text(data[:HEAD], self.options.encoding)):
                raise CorpusError(f"{source.name} {why[0]}", why[1])
            text = decoding.decode(data)
            self._judge(decoding, at_end=False)
            self._report.zero_bytes += text.count("\0")
            yield text
        yield decoding.decode(b"", final=True)
        self._judge(decoding, at_end=True)

    def _judge(self, decoding: Decoding, at_end: bool) -> None:
        """Refuse a file with too many invalid bytes; take note of the others at their end."""
        if decoding.first_invalid is not None:
            offset, line = decoding.first_invalid
            share = decoding.invalid_bytes / max(decoding.size, 1)
            if self.options.strict or (share > MAX_INVALID and (at_end or share > 0.02)):
                raise CorpusError(
                    f"{decoding.where} is not {self.options.encoding.upper()}: "
                    f"{decoding.invalid_bytes:,} invalid bytes in the first {decoding.size:,}, "
                    f"the first at line {line}, byte offset {offset}",
                    _encoding_hint(self.options),
                )
        if at_end:
            report = self._report
            report.bytes += decoding.size
            report.byte_order_marks += decoding.byte_order_mark
            report.invalid_bytes += decoding.invalid_bytes
            if decoding.first_invalid is not None and report.first_invalid is None:
                offset, line = decoding.first_invalid
                report.first_invalid = f"{decoding.where}, line {line}, byte offset {offset}"


def open_corpus(
    paths: Sequence[str], options: ReadOptions | None = None, stdin: BinaryIO | None = None
) -> Corpus:
    """Open files, directories, globs and "-" (standard input); nothing opens the built-in text.

    Raises CorpusError for what is missing, unreadable or holds no text.
    """
    options = options or ReadOptions()
    if not paths:
        return Corpus(BUILTIN, [_builtin()], options)
    sources: list[Source] = []
    skipped: list[str] = []
    spools: list[str] = []
    for path in paths:
        if path == "-":
            assert stdin is not None, "standard input was not passed on"
            sources.append(_spool(stdin, "standard input", spools))
        else:
            for found in _expand(path):
                sources += _path_sources(found, options, skipped, spools)
    corpus = Corpus(_name(paths[0]), sources, options, skipped)
    for spool in spools:
        corpus.keep_until_close(spool)
    return corpus


def corpus_from_text(text: str | bytes, options: ReadOptions | None = None) -> Corpus:
    """Make a corpus of a text at hand."""
    data = text if isinstance(text, bytes) else text.encode()
    return Corpus("text", [_data_source("text", data)], options or ReadOptions())


def _builtin() -> Source:
    """Give the text of Python's own help topics, which every CPython brings along."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    data = "\n\n".join(topics[name].strip("\n") for name in sorted(topics)) + "\n"
    return _data_source("the text that ships with Python", data.encode())


def _data_source(name: str, data: bytes) -> Source:
    identity = {"sha256": hashlib.sha256(data).hexdigest()}
    return Source(name, lambda: io.BytesIO(data), identity, len(data))


def _expand(path: str) -> list[str]:
    """Expand a glob that the shell left alone; a file of that very name comes first."""
    if os.path.lexists(path) or not glob.has_magic(path):
        return [path]
    found = sorted(glob.glob(path, recursive=True))
    if not found:
        raise CorpusError(f"no file matches {path}")
    return found


def _path_sources(
    path: str, options: ReadOptions, skipped: list[str], spools: list[str]
) -> list[Source]:
    try:
        mode = os.stat(path).st_mode
    except OSError as fault:
        raise CorpusError(f"cannot read {path}: {fault.strerror}", _similar(path)) from fault
    if stat.S_ISDIR(mode):
        return _directory_sources(path, options, skipped)
    if stat.S_ISFIFO(mode):
        with Path(path).open("rb") as stream:
            return [_spool(stream, path, spools)]
    if not stat.S_ISREG(mode):
        raise CorpusError(f"{path} is not a file with text in it")
    source = _file_source(path)
    _open(source).close()
    return [source]


def _directory_sources(path: str, options: ReadOptions, skipped: list[str]) -> list[Source]:
    """Take every file below that looks like text, in order; hidden ones are left out."""
    found = []
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in files if not name.startswith(".")):
            file = os.path.join(folder, name)  # noqa: PTH118
            if not Path(file).is_file():
                skipped.append(f"{file} is not a regular file")
                continue
            source = _file_source(file)
            try:
                why = None if options.raw else _sniff(source, options)
            except CharlmError as fault:
                why = fault.message
            if why is None:
                found.append(source)
            else:
                skipped.append(why)
    if not found:
        about = f" ({skipped[0]})" if skipped else ""
        raise CorpusError(f"there is no text file in the directory {path}{about}")
    return found


def _sniff(source: Source, options: ReadOptions) -> str | None:
    """Say why a file of a directory is no text, or None if it looks like it."""
    with decompressed(_open(source)) as stream:
        head = next(read_bytes(stream, source.name), b"")[:HEAD]
    why = why_not_text(head, options.encoding)
    if why is None and not encoding_is_single_byte(options.encoding):
        decoding = Decoding(options.encoding, source.name)
        decoding.decode(head)
        if decoding.invalid_bytes > 10 + MAX_INVALID * len(head):
            why = (f"is not {options.encoding.upper()}", "")
    return None if why is None else f"{source.name} {why[0]}"


def _file_source(path: str) -> Source:
    facts = os.stat(path)
    identity = {"path": str(Path(path).resolve()), "size": facts.st_size}
    identity["mtime_ns"] = facts.st_mtime_ns
    return Source(path, lambda: Path(path).open("rb"), identity, facts.st_size)


def _spool(stream: IO[bytes], name: str, spools: list[str]) -> Source:
    """Keep a stream that can be read only once in a temporary file."""
    digest = hashlib.sha256()
    with disk_errors(Path(tempfile.gettempdir())):
        descriptor, path = tempfile.mkstemp(prefix="charlm-")
        spools.append(path)
        with os.fdopen(descriptor, "wb") as file:
            while data := stream.read(PIECE):
                digest.update(data)
                file.write(data)
    return Source(name, lambda: Path(path).open("rb"), {"sha256": digest.hexdigest()})


def _open(source: Source) -> BinaryIO:
    try:
        return source.open()
    except OSError as fault:
        raise CorpusError(f"cannot read {source.name}: {fault.strerror}") from fault


def _name(path: str) -> str:
    """Name a run after its first file or directory."""
    if path == "-":
        return "stdin"
    name = Path(path).resolve().name.lstrip(".").split(".")[0]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name).strip("-") or "corpus"


def _similar(path: str) -> str | None:
    """Find a file of nearly that name in the same directory."""
    folder = Path(path).parent
    names = os.listdir(folder) if folder.is_dir() else []
    close = difflib.get_close_matches(Path(path).name, names, n=1)
    return f"did you mean {folder / close[0]}?" if close else None


def _encoding_hint(options: ReadOptions) -> str:
    if options.strict:
        return "leave out --strict to have them replaced"
    return "pass its real encoding, such as --encoding latin-1 or --encoding cp1251"
