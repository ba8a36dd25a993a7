"""The few operations that change a disk. Everything that charlm writes goes through here.

Before each one the `observer` is told; a test makes it raise an error or end the process there, and
so tries every place at which a disk can be full or a machine can lose its power.
"""

import errno
import hashlib
import os
import secrets
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from charlm.errors import DiskError

Observer = Callable[[str, Path], None]

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
NO_RENAME = {errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV}
NO_DIRECTORY_SYNC = {errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP, errno.EACCES}
LONGEST_NAME = 200  # bytes of a name that another, made of it, keeps; systems allow 255 in all

observer: Observer = lambda operation, path: None  # noqa: E731


def open_new(path: Path) -> IO[bytes]:
    """Open a file that is not there yet."""
    observer("open", path)
    return path.open("xb")


def open_log(path: Path) -> IO[bytes]:
    """Open a file to write at its end."""
    observer("open", path)
    return path.open("ab")


def write(stream: IO[bytes], data: bytes | memoryview, path: Path) -> None:
    """Write to an open file."""
    observer("write", path)
    stream.write(data)


def sync(stream: IO[Any], path: Path) -> None:
    """Bring what was written to the disk itself."""
    stream.flush()
    observer("fsync", path)
    os.fsync(stream.fileno())


def sync_directory(path: Path) -> None:
    """Bring a directory's names to the disk, where the system can."""
    if os.name == "nt":
        return
    observer("fsync", path)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as fault:
        if fault.errno not in NO_DIRECTORY_SYNC:
            raise
    finally:
        os.close(descriptor)


def truncate(path: Path, size: int) -> None:
    """Cut a file to `size` bytes."""
    observer("truncate", path)
    os.truncate(path, size)


def make_directory(path: Path) -> None:
    """Make a directory with its parents, and bring their names to the disk; it may be there."""
    if path.is_dir():
        return
    if path.parent != path:
        make_directory(path.parent)
    observer("mkdir", path)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def rename(source: Path, target: Path) -> None:
    """Put a file or a directory in its place; where a file system cannot rename, copy it there."""
    observer("rename", target)
    try:
        source.replace(target)
    except OSError as fault:
        if fault.errno not in NO_RENAME or target.is_dir():
            raise
        warnings.warn(f"{target}: no renaming there; written in place", RuntimeWarning, 2)
        _copy(source, target)


def remove(path: Path) -> None:
    """Remove a file; it may be gone already."""
    observer("remove", path)
    path.unlink(missing_ok=True)


def remove_tree(path: Path) -> None:
    """Remove a directory with all that is in it; what resists stays."""
    observer("remove", path)
    shutil.rmtree(path, ignore_errors=True)


def temporary_name(path: Path) -> Path:
    """Make up a name beside `path` that no other process will make up."""
    return beside(path, f"{secrets.token_hex(4)}.tmp")


def beside(path: Path, suffix: str) -> Path:
    """Give a hidden name beside `path` that says what it stands for, however long that name is."""
    name, data = path.name, os.fsencode(path.name)
    if len(data) > LONGEST_NAME:
        digest = hashlib.sha256(data).hexdigest()[:8]
        name = f"{data[: LONGEST_NAME - 9].decode(errors='ignore')}-{digest}"
    return path.with_name(f".{name}.{suffix}")


def is_temporary(path: Path) -> bool:
    """Tell whether a name is one that `temporary_name` made up."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def target_of(temporary: Path) -> Path:
    """Give the path for which `temporary_name` made up a name."""
    return temporary.with_name(temporary.name[1:].rsplit(".", 2)[0])


@contextmanager
def disk_errors(path: Path, needed: int | None = None) -> Iterator[None]:
    """Turn the system's errors while writing `path` into DiskError.

    It names the path, the bytes that were `needed` where they are known, and those that are free.
    """
    try:
        yield
    except OSError as fault:
        size = "" if needed is None else f" ({needed:,} bytes)"
        hint = _space_hint(path) if fault.errno in NO_SPACE else None
        raise DiskError(f"cannot write {path}{size}: {fault.strerror or fault}", hint) from fault


def free_bytes(path: Path) -> int | None:
    """Give the bytes that are free where `path` is or would be; None if the system won't say."""
    there = next(
        parent for parent in [path.absolute(), *path.absolute().parents] if os.path.exists(parent)
    )
    try:
        return shutil.disk_usage(there).free
    except OSError:
        return None


def _space_hint(path: Path) -> str | None:
    free = free_bytes(path)
    return None if free is None else f"{free:,} bytes are free there"


def _copy(source: Path, target: Path) -> None:
    """Copy into place, a directory's manifest last: a stand-in for one rename."""
    if source.is_dir():
        target.mkdir()
        inner = sorted(source.iterdir(), key=lambda path: (path.name == "MANIFEST.json", path))
        for path in inner:
            _copy(path, target / path.name)
        sync_directory(target)
        shutil.rmtree(source)
        return
    with source.open("rb") as old, target.open("wb") as new:
        shutil.copyfileobj(old, new)
        sync(new, target)
    source.unlink()
