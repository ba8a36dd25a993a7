"""One process at a time in a directory: a lock that dies with the process that holds it."""

import contextlib
import errno
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from charlm.errors import UsageError
from charlm.storage import system
from charlm.storage.system import disk_errors

LOCK = "lock"
SECONDS = 0.5  # for which a lock is tried: whoever only asks whether it is held, holds it too
INTERVAL = 0.05  # seconds between two tries
TAKEN = {errno.EWOULDBLOCK, errno.EACCES}


@contextmanager
def locked(
    directory: Path, seconds: float = SECONDS, waiting: Callable[[str], None] = lambda owner: None
) -> Iterator[None]:
    """Keep other processes out of a directory, which need not exist yet and may be replaced.

    The lock is the system's own (flock), on a file beside the directory: it goes when the process
    goes, however that ends, so a file left behind locks nobody out. Where another process holds it,
    `waiting` is told which, and after `seconds` UsageError raised.
    """
    if os.name == "nt":  # Windows has other locks, which we leave alone
        yield
        return
    path = _beside(directory)
    with disk_errors(path):
        system.make_directory(path.parent)
    stream = _take(path, directory, seconds, waiting)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if _is_at(stream, path):
                path.unlink()
        stream.close()


def is_locked(directory: Path) -> bool:
    """Tell whether a process holds the lock of a directory."""
    if os.name == "nt" or not os.path.exists(_beside(directory)):
        return False
    import fcntl

    with contextlib.suppress(OSError), _beside(directory).open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as fault:
            return fault.errno in TAKEN
    return False


def _beside(directory: Path) -> Path:
    """Give the file to lock: inside, where nothing can be made beside the directory."""
    directory = directory.absolute()
    if directory.is_dir() and not os.access(directory.parent, os.W_OK):
        return directory / f".{LOCK}"
    return system.beside(directory, LOCK)


def _take(path: Path, directory: Path, seconds: float, waiting: Callable[[str], None]) -> IO[Any]:
    """Lock the file at `path`, waiting for as long as another process holds it."""
    begin, told = time.monotonic(), False
    while (stream := _try(path)) is None:
        waited = time.monotonic() - begin
        if waited >= seconds:
            raise UsageError(
                f"{directory} is in use by {_owner(path)}",
                "wait for it to end, or choose another directory with --out",
            )
        if waited >= SECONDS and not told:
            waiting(_owner(path))
            told = True
        time.sleep(INTERVAL)
    return stream


def _try(path: Path) -> IO[Any] | None:
    """Lock the file at `path` at once, not one that its last owner has just removed."""
    import fcntl

    while True:
        with disk_errors(path):
            stream = system.open_log(path)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            if fault.errno not in TAKEN:
                return stream  # a file system without locks
            stream.close()
            return None
        if _is_at(stream, path):
            break
        stream.close()
    facts = {"pid": os.getpid(), "host": socket.gethostname()}
    with disk_errors(path):
        stream.truncate(0)
        stream.write(json.dumps(facts).encode())
        stream.flush()
    return stream


def _is_at(stream: IO[Any], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _owner(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        facts = json.loads(path.read_bytes())
        return f"process {facts['pid']} on {facts['host']}"
    return "another process"
