"""Where a study lives: in the directory that was named, or in the next free one of its name."""

from pathlib import Path
from typing import Any

from charlm.errors import CharlmError, UsageError
from charlm.runs.place import RUNS
from charlm.tuning.record import read_study


def study_directory(named: str | None, name: str, identity: dict[str, Any]) -> Path:
    """Find the directory of a study: the one named, or the last of this very search, or a new one.

    Raises UsageError for a directory that is something else, or a study of something else.
    """
    if named is not None:
        directory = Path(named)
        _check(directory, identity)
        return directory
    number, free, last = 1, RUNS / f"tune-{name}", None
    while free.exists():
        number, last = number + 1, free
        free = RUNS / f"tune-{name}-{number}"
    return last if last is not None and _is_same(last, identity) else free


def _check(directory: Path, identity: dict[str, Any]) -> None:
    record = read_study(directory)
    if record is not None:
        record.refuse_other(identity, directory)
        return
    taken = directory.exists() and not directory.is_dir()
    if taken or (directory.is_dir() and any(p.name[0] != "." for p in directory.iterdir())):
        raise UsageError(f"{directory} is already there, and is no study", "choose another --study")


def _is_same(directory: Path, identity: dict[str, Any]) -> bool:
    try:
        record = read_study(directory)
    except CharlmError:
        return False
    return record is not None and record.identity == identity
