"""Durable files: the only module of charlm that opens files for writing.

A file is written under a temporary name, flushed to the disk and renamed into place, so that a
reader finds the old content or the new one and nothing between. A directory is made the same way:
its files first, then MANIFEST.json with the size and SHA-256 of each, then one rename. A directory
without a manifest is not finished and is never read as a model or a token store.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from charlm.errors import CharlmError, DiskError

MANIFEST = "MANIFEST.json"
MAX_JSON_BYTES = 64 * 1024 * 1024
CHUNK = 1024 * 1024


class HashingFile:
    """A file under a temporary name that counts and hashes what is written to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with disk_errors(path):
            self._stream: BinaryIO = self._temporary.open("wb")

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`."""
        with disk_errors(self.path):
            self._stream.write(data)
        self._hash.update(data)
        self.size += memoryview(data).nbytes

    def finish(self) -> dict[str, Any]:
        """Bring the file to the disk and to its name; give its entry for the manifest."""
        try:
            with disk_errors(self.path):
                self._stream.flush()
                os.fsync(self._stream.fileno())
                self._stream.close()
                self._temporary.replace(self.path)
        except BaseException:
            self.discard()
            raise
        return {"size": self.size, "sha256": self._hash.hexdigest()}

    def discard(self) -> None:
        """Close the file and remove it."""
        with contextlib.suppress(OSError):
            self._stream.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.discard()


class DirectoryWriter:
    """Writes the files of one directory and remembers their sizes and hashes for its manifest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[str, dict[str, Any]] = {}

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write one whole file."""
        with self.open_binary(name) as stream:
            stream.write(data)

    def write_json(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Write one JSON file, indented for people."""
        self.write_bytes(name, json_bytes(value))

    def write_text(self, name: str, text: str) -> None:
        """Write one text file as UTF-8."""
        self.write_bytes(name, text.encode())

    @contextmanager
    def open_binary(self, name: str) -> Iterator[HashingFile]:
        """Open one file to be written piece by piece."""
        path = self.path / name
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        stream = HashingFile(path)
        try:
            yield stream
        except BaseException:
            stream.discard()
            raise
        self.add(name, stream.finish())

    def add(self, name: str, entry: dict[str, Any]) -> None:
        """Enter a file that was written here by other means: what `HashingFile.finish` gave."""
        self._entries[name] = entry

    def write_manifest(self) -> None:
        """Write the manifest, last of all, and bring the directory's names to the disk."""
        write_bytes(self.path / MANIFEST, json_bytes({"format": 1, "files": self._entries}))


@contextmanager
def new_directory(target: Path, replace: bool = False) -> Iterator[DirectoryWriter]:
    """Make the directory `target` as a whole, or not at all.

    With `replace` an existing one gives way at the last moment. Raises DiskError.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    with disk_errors(target):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    writer = DirectoryWriter(temporary)
    try:
        yield writer
        writer.write_manifest()
        with disk_errors(target):
            _move_into_place(temporary, target, replace)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def existing_directory(target: Path) -> Iterator[DirectoryWriter]:
    """Write files into a directory that is already there; its manifest comes last.

    An older manifest is taken away first: from then until the new one stands there, the directory
    does not count as finished. Raises DiskError.
    """
    with disk_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        (target / MANIFEST).unlink(missing_ok=True)
    writer = DirectoryWriter(target)
    yield writer
    writer.write_manifest()


@contextmanager
def run_directory(target: Path) -> Iterator[None]:
    """Make the directory of a run. What stood there comes back if nothing new comes of it."""
    retired = target.with_name(f".{target.name}.{os.getpid()}.old")
    with disk_errors(target):
        if target.exists():
            target.rename(retired)
        target.mkdir(parents=True)
    try:
        yield
    except BaseException:
        if retired.exists() and not (target / MANIFEST).exists():
            shutil.rmtree(target, ignore_errors=True)
            retired.rename(target)
        raise
    finally:
        shutil.rmtree(retired, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write one file durably: temporary name, fsync, rename, fsync of its directory."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with HashingFile(path) as stream:
        stream.write(data)
    sync_directory(path.parent)


def json_bytes(value: Any) -> bytes:  # noqa: ANN401
    """Turn a value into indented JSON that ends in a line feed."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


class LineLog:
    """A file of JSON lines that grows at its end; each line is handed to the system at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("a", encoding="utf-8")

    def append(self, value: dict[str, Any]) -> None:
        """Write one object as one line."""
        with disk_errors(self.path):
            self._stream.write(json.dumps(value) + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        with disk_errors(self.path):
            self._stream.close()


def read_json(path: Path, error: type[CharlmError]) -> Any:  # noqa: ANN401
    """Read one JSON file that charlm wrote; raise `error` if it is missing, huge or damaged."""
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise error(f"{path} is too large to be a file of charlm's ({size:,} bytes)")
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise error(f"{path} is missing") from None
    except OSError as fault:
        raise error(f"cannot read {path}: {fault.strerror}") from fault
    except (ValueError, RecursionError) as fault:
        raise error(f"{path} is not valid JSON: {fault}") from fault


def verify(directory: Path, error: type[CharlmError], contents: bool) -> None:
    """Check a directory against its manifest: every file there, with its size.

    With `contents` the SHA-256 of each file is computed too. Raises `error` with what differs.
    """
    manifest = read_json(directory / MANIFEST, error)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict):
        raise error(f"{directory / MANIFEST} does not list files")
    for name, entry in files.items():
        path = directory / name
        if Path(name).is_absolute() or ".." in Path(name).parts or not isinstance(entry, dict):
            raise error(f"{directory / MANIFEST} has a bad entry: {name!r}")
        try:
            size = path.stat().st_size
        except OSError:
            raise error(f"{path} is missing", "copy the whole directory") from None
        if size != entry.get("size"):
            raise error(f"{path} has {size:,} bytes instead of {entry.get('size')}")
        if contents and file_sha256(path) != entry.get("sha256"):
            raise error(f"{path} is damaged: its SHA-256 differs from the manifest's")


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def sync_directory(path: Path) -> None:
    """Bring a directory's names to the disk, where the system can."""
    if os.name == "nt":
        return
    with disk_errors(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors while writing `path` into DiskError, with path and free space."""
    try:
        yield
    except OSError as fault:
        why = fault.strerror or fault
        raise DiskError(f"cannot write {path}: {why}", _space_hint(path)) from fault


def _space_hint(path: Path) -> str | None:
    there = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        free = shutil.disk_usage(there).free
    except OSError:
        return None
    return f"{free / 1e6:,.0f} MB are free there"


def _move_into_place(temporary: Path, target: Path, replace: bool) -> None:
    sync_directory(temporary)
    if replace and target.exists():
        retired = target.with_name(f".{target.name}.{os.getpid()}.old")
        target.rename(retired)
        temporary.rename(target)
        shutil.rmtree(retired, ignore_errors=True)
    else:
        temporary.rename(target)
    sync_directory(target.parent)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
