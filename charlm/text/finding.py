"""Finding a corpus: what the words on a command line name becomes a list of sources."""

import difflib
import glob
import hashlib
import importlib
import io
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, BinaryIO

from charlm.errors import CharlmError, CorpusError, UsageError
from charlm.storage import disk_errors
from charlm.text.formats import PARQUET_MAGIC, format_of
from charlm.text.hub import HUB, hub_source
from charlm.text.reading import (
    HEAD,
    MAX_INVALID,
    PIECE,
    Decoding,
    decompressed,
    encoding_is_single_byte,
    read_bytes,
    read_errors,
    why_not_text,
)
from charlm.text.sources import Corpus, ReadOptions, Source, open_source
from charlm.text.store import STORE
from charlm.text.tokenizers import refuse_surrogates

BUILTIN = "python-topics"


def open_corpus(
    paths: Sequence[str], options: ReadOptions | None = None, stdin: BinaryIO | None = None
) -> Corpus:
    """Open files, directories, globs, "-" (standard input) and hf:NAME (a dataset of the Hub).

    Nothing named opens the built-in text.

    Raises CorpusError for what is missing, unreadable or holds no text.
    """
    options = options or ReadOptions()
    if not paths:
        return Corpus(run_name(paths), [_builtin()], options)
    sources: list[Source] = []
    skipped: list[str] = []
    spools: list[str] = []
    try:
        _find(paths, options, stdin, sources, skipped, spools)
    except BaseException:
        for spool in spools:
            with suppress(OSError):
                os.unlink(spool)
        raise
    corpus = Corpus(run_name(paths), sources, options, skipped)
    for spool in spools:
        corpus.keep_until_close(spool)
    return corpus


def _find(
    paths: Sequence[str],
    options: ReadOptions,
    stdin: BinaryIO | None,
    sources: list[Source],
    skipped: list[str],
    spools: list[str],
) -> None:
    """Find the sources that words name, what is left out, and files that were made on the way."""
    for path in paths:
        if path == "-":
            if stdin is None:
                raise CorpusError(
                    "there is no standard input to read here", "name a file instead of -"
                )
            sources.append(_spool(stdin, "standard input", spools))
        elif path.startswith(HUB):
            sources.append(hub_source(path))
        else:
            for found in _expand(path):
                sources += _path_sources(found, options, skipped, spools)


def standard_input() -> BinaryIO | None:
    """Give the bytes of standard input; None where it is closed."""
    return getattr(sys.stdin, "buffer", None)


def check_text(path: str, options: ReadOptions) -> None:
    """Raise CorpusError where a text to be read later is not there or empty; not for a pipe."""
    with suppress(OSError, ValueError):
        if stat.S_ISFIFO(os.stat(path).st_mode):
            return
    with open_corpus([path], options) as corpus:
        if not any(
            piece.text and (options.raw or not piece.text.isspace()) for piece in corpus.pieces()
        ):
            raise corpus.nothing_in_it()


def is_prepared(path: str) -> bool:
    """Tell whether a path is a directory that `charlm prepare` wrote."""
    return os.path.exists(os.path.join(path, STORE))  # False also where it is not to be seen


def paths_of(named: str | Path | Sequence[str | Path]) -> list[str]:
    """Give the words that name a corpus; raise UsageError for what is no path, nor several."""
    paths = [named] if isinstance(named, str | Path) else named
    paths = list(paths) if isinstance(paths, Iterable) else [paths]
    if not all(isinstance(each, str | Path) for each in paths):
        raise UsageError(f"a path is wanted here, or several, not {named!r:.60}")
    return [str(path) for path in paths]


def corpus_from_text(text: str | bytes, options: ReadOptions | None = None) -> Corpus:
    """Make a corpus of a text at hand; raise UsageError where it is none."""
    if not isinstance(text, bytes):
        refuse_surrogates(text)
        text = text.encode()
    source = _data_source("what was given", text)
    return Corpus("text", [source], options or ReadOptions())


def _builtin() -> Source:
    """Give the text of Python's own help topics, which every CPython brings along."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    data = "\n\n".join(topics[name].strip("\n") for name in sorted(topics)) + "\n"
    return _data_source("the text that ships with Python", data.encode())


def _data_source(name: str, data: bytes) -> Source:
    identity = {"sha256": hashlib.sha256(data).hexdigest()}
    return Source(name, lambda: io.BytesIO(data), identity, len(data))


def _expand(path: str) -> list[str]:
    """Expand a glob that the shell left alone; a file of that very name comes first.

    With ** the files below a directory are named beside it: it is not walked once more.
    """
    if os.path.lexists(path) or not glob.has_magic(path):
        return [path]
    found = sorted(glob.glob(path, recursive=True))
    if "**" in path:
        found = [name for name in found if not os.path.isdir(name)]
    if not found:
        raise CorpusError(f"no file matches {path}")
    return found


def _path_sources(
    path: str, options: ReadOptions, skipped: list[str], spools: list[str]
) -> list[Source]:
    try:
        mode = os.stat(path).st_mode
    except ValueError:  # a zero byte
        raise CorpusError(f"there can be no file of the name {path!r}") from None
    except OSError as fault:
        raise CorpusError(f"cannot read {path}: {fault.strerror}", _similar(path)) from fault
    if is_prepared(path):
        raise UsageError(
            f"{path} is prepared already, and can only be trained on, alone",
            "pass the text it was made of",
        )
    if stat.S_ISDIR(mode):
        return _directory_sources(path, options, skipped)
    if stat.S_ISFIFO(mode):
        with Path(path).open("rb") as stream:
            return [_spool(stream, path, spools)]
    if not stat.S_ISREG(mode):
        raise CorpusError(f"{path} is not a file with text in it")
    return [_recognised(_file_source(path))]


def _directory_sources(path: str, options: ReadOptions, skipped: list[str]) -> list[Source]:
    """Take every file below that looks like text, in order; hidden ones are left out."""
    found = []

    def unreadable(fault: OSError) -> None:
        skipped.append(f"cannot read {fault.filename}: {fault.strerror}")

    for folder, folders, files in os.walk(path, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if is_prepared(folder):
            skipped.append(f"{folder} is prepared already")
            folders[:] = files[:] = []
        for name in sorted(name for name in files if not name.startswith(".")):
            file = os.path.join(folder, name)
            if not os.path.isfile(file):
                skipped.append(f"{file} is not a regular file")
                continue
            source = _file_source(file)
            try:
                source = _recognised(source)
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
    if source.format == "parquet":
        return None
    with open_source(source) as file, decompressed(file, source.name) as stream:
        head = next(read_bytes(stream, source.name), b"")[:HEAD]
    why = why_not_text(head, options.encoding)
    if why is None and not encoding_is_single_byte(options.encoding):
        decoding = Decoding(options.encoding, source.name)
        decoding.decode(head)
        if decoding.invalid_bytes > 10 + MAX_INVALID * len(head):
            why = (f"is not {options.encoding.upper()}", "")
    return None if why is None else f"{source.name} {why[0]}"


def _file_source(path: str) -> Source:
    size, modified = seen = _facts(path)
    identity = {"path": str(Path(path).resolve()), "size": size, "mtime_ns": modified}
    return Source(
        path,
        lambda: Path(path).open("rb"),
        identity,
        size,
        format_of(path),
        look=lambda: _facts(path),
        seen=seen,
    )


def _facts(path: str) -> tuple[int, int]:
    """Give what shows that a file was changed: its size and time; (-1, -1) where it is gone."""
    with suppress(OSError):
        facts = os.stat(path)
        return facts.st_size, facts.st_mtime_ns
    return -1, -1


def _recognised(source: Source) -> Source:
    """Look whether a file can be opened, and whether it is a Parquet table of another name."""
    with open_source(source) as stream, read_errors(source.name):
        is_parquet = stream.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    return replace(source, format="parquet") if is_parquet else source


def _spool(stream: IO[bytes], name: str, spools: list[str]) -> Source:
    """Keep a stream that can be read only once in a temporary file."""
    digest = hashlib.sha256()
    with disk_errors(Path(tempfile.gettempdir())):
        descriptor, path = tempfile.mkstemp(prefix="charlm-")
        spools.append(path)
        with os.fdopen(descriptor, "wb") as file:
            while data := _read_piece(stream, name):
                digest.update(data)
                file.write(data)
    identity = {"sha256": digest.hexdigest()}
    size = os.path.getsize(path)
    return _recognised(Source(name, lambda: Path(path).open("rb"), identity, size, format_of(name)))


def _read_piece(stream: IO[bytes], name: str) -> bytes:
    with read_errors(name):
        return stream.read(PIECE)


def run_name(paths: Sequence[str]) -> str:
    """Name a corpus, and the run that learns from it, after its first file or directory."""
    if not paths:
        return BUILTIN
    path = paths[0].removeprefix(HUB)
    if path == "-":
        return "stdin"
    name = Path(path).resolve().name.lstrip(".").split(".")[0]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name).strip("-") or "corpus"


def _similar(path: str) -> str | None:
    """Find a file of nearly that name in the same directory."""
    folder, own = Path(path).parent, Path(path).name
    names: list[str] = []
    with suppress(OSError):
        names = [name for name in os.listdir(folder) if name != own]
    close = difflib.get_close_matches(own, names, n=1)
    return f"did you mean {folder / close[0]}?" if close else None
