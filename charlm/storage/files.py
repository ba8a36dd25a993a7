"""One file: written whole under a temporary name, or grown line by line at its end."""

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from charlm.errors import DiskError
from charlm.storage import system
from charlm.storage.system import disk_errors


class HashingFile:
    """A file under a temporary name that counts and hashes what is written to it."""

    def __init__(self, path: Path, expected: int | None = None) -> None:
        self.path = path
        self.size = 0
        self._expected = expected
        self._hash = hashlib.sha256()
        self._temporary = system.temporary_name(path)
        with disk_errors(path, expected):
            self._stream = system.open_new(self._temporary)

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`."""
        self.size += memoryview(data).nbytes
        with disk_errors(self.path, self._expected or self.size):
            system.write(self._stream, data, self.path)
        self._hash.update(data)

    def finish(self) -> dict[str, Any]:
        """Bring the file to the disk and to its name; give its entry for the manifest.

        A file that it replaces leaves it its mode.
        """
        try:
            with disk_errors(self.path, self.size):
                system.sync(self._stream, self.path)
                self._stream.close()
                with contextlib.suppress(FileNotFoundError):
                    self._temporary.chmod(stat.S_IMODE(os.stat(self.path).st_mode))
                system.rename(self._temporary, self.path)
        except BaseException:
            self.discard()
            raise
        return {"size": self.size, "sha256": self._hash.hexdigest()}

    def discard(self) -> None:
        """Close the file and remove it, as far as the disk lets us."""
        with contextlib.suppress(OSError):
            self._stream.close()
        with contextlib.suppress(OSError):
            system.remove(self._temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.discard()


def write_bytes(path: Path, data: bytes) -> None:
    """Write one file durably: temporary name, fsync, rename, fsync of its directory."""
    with disk_errors(path):
        system.make_directory(path.parent)
    with new_file(path, len(data)) as stream:
        stream.write(data)


@contextmanager
def new_file(path: Path, expected: int | None = None) -> Iterator[HashingFile]:
    """Open a file that gets its name, durably, when all is written; its directory is there.

    Whether it can be written at all is found out at once. Raises DiskError.
    """
    with HashingFile(path, expected) as stream:
        yield stream
    with disk_errors(path):
        system.sync_directory(path.parent)


@contextmanager
def result_file(path: str | Path) -> Iterator[HashingFile]:
    """Open a file that a user asked for; it gets its name, that of another perhaps, at the end.

    Of a link it is what the link leads to. Whether it can be written is found out at once. Raises
    DiskError.
    """
    real = Path(os.path.realpath(path))
    if real.exists() and not real.is_file():
        raise DiskError(f"cannot write {path}: it is not a file")
    with HashingFile(real) as stream:
        yield stream


def must_have_directory(path: Path) -> None:
    """Raise DiskError where the directory of a file that is to be written is not there."""
    if not path.parent.is_dir():
        raise DiskError(
            f"cannot write {path}: there is no directory {path.parent}", "make it first"
        )


def json_bytes(value: Any) -> bytes:  # noqa: ANN401
    """Turn a value into indented JSON that ends in a line feed.

    What is no Unicode, in the name of a file, is written as JSON's own escape and comes back.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


class LineLog:
    """A file of JSON lines that grows at its end; each line is handed to the system at once.

    With `keep` the file first goes back to its first `keep` bytes: what a run wrote after its last
    checkpoint, a torn line perhaps, it will write again. Where it has fewer, it goes back to its
    last whole line, and `lost` is set.
    """

    def __init__(self, path: Path, keep: int | None = None) -> None:
        self.path = path
        with disk_errors(path):
            system.make_directory(path.parent)
            is_new = not path.exists()
            size = 0 if is_new else path.stat().st_size
            self.lost = keep is not None and size < keep
            if keep is not None and not is_new:
                whole = _whole_lines(path) if self.lost else keep
                if whole < size:
                    system.truncate(path, whole)
            self._stream = system.open_log(path)
            if is_new:
                system.sync_directory(path.parent)
        self.size = self._stream.tell()

    def append(self, value: dict[str, Any]) -> None:
        """Write one object as one line."""
        data = (json.dumps(value, allow_nan=False) + "\n").encode()
        with disk_errors(self.path):
            system.write(self._stream, data, self.path)
            self._stream.flush()
        self.size += len(data)

    def sync(self) -> int:
        """Bring the lines to the disk; give the size of the file."""
        with disk_errors(self.path):
            system.sync(self._stream, self.path)
        return self.size

    def close(self) -> None:
        """Close the file."""
        with disk_errors(self.path):
            self._stream.close()


def cut_off(path: Path, size: int, name: str) -> Path:
    """Cut a file to its first `size` bytes; give the file beside it that holds the rest now.

    It bears the file's name with `name` and a number behind it. Raises DiskError.
    """
    number = 1
    while (copy := path.with_name(f"{path.name}.{name}-{number}")).exists():
        number += 1
    with path.open("rb") as stream:
        stream.seek(size)
        write_bytes(copy, stream.read())
    with disk_errors(path):
        system.truncate(path, size)
    return copy


def _whole_lines(path: Path) -> int:
    """Give the size of a file without what follows its last line end."""
    size = 0
    with path.open("rb") as stream:
        for line in stream:
            size += len(line) if line.endswith(b"\n") else 0
    return size
