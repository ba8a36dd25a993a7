"""Directories whose files belong together, made as a whole or not at all."""

import contextlib
import os
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from charlm.storage import system
from charlm.storage.files import HashingFile, json_bytes, write_bytes
from charlm.storage.locks import is_locked
from charlm.storage.manifest import MANIFEST
from charlm.storage.system import disk_errors

OLD = 86_400  # seconds


class DirectoryWriter:
    """Writes the files of one directory and remembers their sizes and hashes for its manifest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[str, dict[str, Any]] = {}

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write one whole file."""
        with self.open_binary(name, len(data)) as stream:
            stream.write(data)

    def write_json(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Write one JSON file, indented for people."""
        self.write_bytes(name, json_bytes(value))

    def write_text(self, name: str, text: str) -> None:
        """Write one text file as UTF-8."""
        self.write_bytes(name, text.encode())

    @contextmanager
    def open_binary(self, name: str, expected: int | None = None) -> Iterator[HashingFile]:
        """Open one file to be written piece by piece."""
        path = self.path / name
        with disk_errors(path):
            system.make_directory(path.parent)
        stream = HashingFile(path, expected)
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
        with disk_errors(self.path):
            system.sync_directory(self.path)
        write_bytes(self.path / MANIFEST, json_bytes({"format": 1, "files": self._entries}))


def unchecked(path: Path) -> None:
    """Look at nothing: what a directory is made of is trusted to be on the disk."""


@contextmanager
def new_directory(
    target: Path, replace: bool = False, check: Callable[[Path], None] = unchecked
) -> Iterator[DirectoryWriter]:
    """Make the directory `target` as a whole, or not at all.

    It gets its name only when `check` has found nothing wrong with it. With `replace` an existing
    one gives way at the last moment. Raises DiskError.
    """
    if replace:
        recover_replaced(target)
    temporary = system.temporary_name(target)
    with disk_errors(target):
        system.make_directory(temporary)
    writer = DirectoryWriter(temporary)
    try:
        yield writer
        writer.write_manifest()
        check(temporary)
        with disk_errors(target):
            _move_into_place(temporary, target, replace)
    except BaseException:
        remove_directory(temporary)
        raise


@contextmanager
def existing_directory(target: Path) -> Iterator[DirectoryWriter]:
    """Write files into a directory that is already there; its manifest comes last.

    An older manifest is taken away first: from then until the new one stands there, the directory
    does not count as finished. Raises DiskError.
    """
    with disk_errors(target):
        system.make_directory(target)
        system.remove(target / MANIFEST)
        system.sync_directory(target)
    writer = DirectoryWriter(target)
    yield writer
    writer.write_manifest()


@contextmanager
def replaced_directory(target: Path, worth_keeping: Callable[[Path], bool]) -> Iterator[None]:
    """Make an empty directory. What stood there comes back if nothing worth keeping comes of it.

    It waits under another name, also when this process is killed, until `forget_replaced` is
    called; meanwhile only a directory with a manifest can take its place there.
    """
    retired = _retired(target)
    with disk_errors(target):
        if retired.exists() and not worth_keeping(target):
            remove_directory(target)
        elif target.exists() and any(target.iterdir()):
            remove_directory(retired)
            system.rename(target, retired)
        system.make_directory(target)
    try:
        yield
    except BaseException:
        if not worth_keeping(target):
            remove_directory(target)
            if retired.exists():
                with contextlib.suppress(OSError):
                    system.rename(retired, target)
        raise


def forget_replaced(target: Path) -> None:
    """Remove what a directory has replaced, if it still waits."""
    remove_directory(_retired(target))


def waits_replaced(target: Path) -> bool:
    """Tell whether what a directory was to replace still waits."""
    return os.path.lexists(_retired(target))


def recover_replaced(target: Path) -> None:
    """Bring back what a directory was to replace, if the process died before it took its place."""
    retired = _retired(target)
    if not retired.exists():
        return
    if (target / MANIFEST).exists():
        remove_directory(retired)
        return
    with disk_errors(target):
        remove_directory(target)
        system.rename(retired, target)


def set_aside(path: Path) -> None:
    """Give a damaged directory a name under which nobody takes it for a whole one."""
    aside = system.beside(path, "damaged")
    remove_directory(aside)
    with contextlib.suppress(OSError):  # a disk that can only be read is as good
        system.rename(path, aside)


def remove_directory(path: Path) -> None:
    """Remove a directory with all that is in it, as far as the disk lets us."""
    if path.exists():
        with contextlib.suppress(OSError):
            system.remove_tree(path)


def strip_directory(directory: Path, keep: Container[str]) -> None:
    """Remove what a directory holds but for what has one of these names; its manifest goes first.

    Only as far as the disk lets us: what stays does no harm, as without a manifest it is no model.
    """
    with contextlib.suppress(OSError):
        system.remove(directory / MANIFEST)
        for path in directory.iterdir():
            if path.name not in keep:
                system.remove_tree(path) if path.is_dir() else system.remove(path)


def remove_leftovers(directory: Path) -> list[Path]:
    """Remove what killed processes left under temporary names; give the names.

    Only for a directory in which no other process can be writing now.
    """
    found = [path for path in directory.iterdir() if system.is_temporary(path)]
    for path in found:
        if path.is_dir():
            remove_directory(path)
        else:
            with contextlib.suppress(OSError):
                system.remove(path)
    return found


def remove_old_leftovers(directory: Path) -> None:
    """Remove the half directories that killed processes left here, where others may be at work.

    They are known by their age: for `OLD` seconds nothing was begun in them, and no process holds
    the lock of what they were to become.
    """
    for path in directory.iterdir():
        with contextlib.suppress(OSError):  # another process may remove it at the same time
            old = system.is_temporary(path) and time.time() - path.stat().st_mtime > OLD
            if old and not is_locked(system.target_of(path)):
                remove_directory(path)


def _retired(target: Path) -> Path:
    return system.beside(target, "replaced")


def _move_into_place(temporary: Path, target: Path, replace: bool) -> None:
    system.sync_directory(temporary)
    if replace and target.exists():
        retired = _retired(target)
        system.rename(target, retired)
        try:
            system.rename(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                system.rename(retired, target)
            raise
        remove_directory(retired)
    else:
        system.rename(temporary, target)
    system.sync_directory(target.parent)
