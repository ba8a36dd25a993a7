"""Where a run lives, and whether the run that is meant begins, goes on or is done already."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic

from charlm import storage
from charlm.errors import CharlmError, ModelError, UsageError
from charlm.runs.files import CONFIG
from charlm.runs.record import RECORD, Request, RunRecord, read_record
from charlm.runs.request import BUDGETS, RunRequest
from charlm.text.finding import run_name
from charlm.training.finished import newest_step

RUNS = Path("runs")
CHECKPOINTS = "checkpoints"
WITHOUT_STEPS = {"threads", "device", "precision"}  # say how steps are taken, not that any are
LOGS = ("metrics.jsonl", "timings.jsonl")


@dataclass(frozen=True)
class Place(Generic[Request]):
    """The directory of a run.

    record:   what the run is, where it has begun already and is to go on
    finished: there is nothing left to do
    replaces: what stands there, if anything, is to give way
    why:      a sentence for the user, where the place was not simply the one asked for
    """

    directory: Path
    record: RunRecord[Request] | None = None
    finished: bool = False
    replaces: bool = False
    why: str | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the directory against other processes; a new one is made.

        What a new run replaces comes back unless the run gets as far as a first checkpoint.
        """
        with ExitStack() as stack:
            stack.enter_context(storage.locked(self.directory))
            if self.record is None:
                if not self.replaces:
                    self._must_be_free()
                room = storage.replaced_directory(self.directory, is_worth_keeping)
                stack.enter_context(room)
            storage.remove_leftovers(self.directory)
            yield

    def _must_be_free(self) -> None:
        """Look again, now that nobody else is here."""
        if not _is_free(self.directory):
            raise UsageError(f"{self.directory} is already there", "pass --force to replace it")


def find_place(paths: Sequence[str], request: Request) -> Place[Request]:
    """Find the place of the run that is meant; only what a killed run was to replace comes back.

    With `resume` that is the one given, or the newest one that is not finished; without it, an
    unfinished run of the very same command. Raises UsageError for a directory that is taken.
    """
    if request.out is not None:
        out = Path(request.out)
        if out.is_symlink() or out.name in ("", ".."):
            out = out.resolve()  # one directory has one name, and one lock
        _recover(out)
        return _given(out, paths, request)
    if request.resume and not paths:
        return _newest_unfinished(type(request))
    free, last = _numbered(RUNS / run_name(paths))
    if last is None or request.force:
        return Place(free)
    if request.resume:
        return _resumed(last, request)  # where it is in use, the lock says so
    if storage.is_locked(last):
        return Place(free)
    record = None if is_finished(last, type(request)) else _readable_record(last, type(request))
    if record is not None and record.same_request(paths, request):
        return Place(last, record, why=f"{last} is not finished: going on with it")
    return Place(free)


def is_finished(directory: Path, kind: type[RunRequest]) -> bool:
    """Tell whether a run has come to its end and its model is there."""
    if not (directory / storage.MANIFEST).exists():
        return False
    try:
        config = storage.read_json(directory / CONFIG, ModelError)
    except CharlmError:
        return False
    run = config.get("run") if isinstance(config, dict) else None
    if not isinstance(run, dict) or run.get("finished", True) is not True:
        return False
    # a run that was to go on may have another budget than its model, or have got further
    record, made_with = _readable_record(directory, kind), run.get("request")
    if record is not None and isinstance(made_with, dict):
        asked = asdict(record.request)
        if any(asked[name] != made_with.get(name) for name in BUDGETS):
            return False
    steps = run.get("steps")
    return not isinstance(steps, int) or newest_step(directory / CHECKPOINTS) <= steps


def is_worth_keeping(directory: Path) -> bool:
    """Tell whether a directory holds a model, or a checkpoint in which something was learned."""
    return (directory / storage.MANIFEST).exists() or newest_step(directory / CHECKPOINTS) > 0


def _given(out: Path, paths: Sequence[str], request: Request) -> Place[Request]:
    if _is_free(out):
        why = f"there is no run at {out} yet: it begins" if request.resume else None
        return Place(out, replaces=request.force, why=why)
    ours = out.is_dir() and any((out / name).exists() for name in (RECORD, *LOGS))
    if not ours:
        if request.force:
            raise UsageError(f"{out} is not a run of charlm's; it will not be replaced")
        raise UsageError(f"{out} is already there", "choose another --out")
    if request.force:
        return Place(out, replaces=True)
    if request.resume:
        return _resumed(out, request)
    if is_finished(out, type(request)):
        raise UsageError(f"{out} is already there", "pass --force to replace it")
    record = read_record(out, type(request))
    if record is not None and record.same_request(paths, request):
        return Place(out, record, why=f"{out} is not finished: going on with it")
    raise UsageError(
        f"{out} holds a run that is not finished, started with other options",
        "--resume goes on with it, --force starts anew",
    )


def _resumed(directory: Path, request: Request) -> Place[Request]:
    """Go on with the run of a directory, or find it finished, or not begun."""
    record = read_record(directory, type(request))
    if is_finished(directory, type(request)):
        if record is None or not _asks_for_more(directory, record, request):
            return Place(directory, record, finished=True, why=f"{directory} is finished")
        return Place(directory, record, why=f"{directory} is finished: going on with new options")
    if record is None:
        why = f"the run at {directory} has no checkpoint yet: it begins"
        return Place(directory, replaces=True, why=why)
    return Place(directory, record)


def _asks_for_more(directory: Path, record: RunRecord[Request], request: Request) -> bool:
    """Tell whether a finished run has anything left to do: not for a budget that is used up."""
    changes = record.changes(request)
    if changes.keys() - set(BUDGETS) - WITHOUT_STEPS:
        return True
    run = storage.read_json(directory / CONFIG, ModelError)["run"]
    done = {"steps": run.get("steps"), "minutes": (run.get("seconds") or 0) / 60}
    budgets = {name: change for name, change in changes.items() if name in BUDGETS}
    return any(
        now > (before or 0) and now > (done.get(name) or 0)
        for name, (before, now) in budgets.items()
    )


def _newest_unfinished(kind: type[Request]) -> Place[Request]:
    found = []
    for directory in RUNS.iterdir() if RUNS.is_dir() else ():
        hidden = directory.name.startswith(".")  # such as one that was to be replaced
        if hidden or storage.is_locked(directory):
            continue
        if _readable_record(directory, kind) is not None:
            found.append((is_finished(directory, kind), -_last_touched(directory), directory))
    if not found:
        free, _ = _numbered(RUNS / run_name([]))
        return Place(free, why="there is no run to go on with: a new one begins")
    finished, _, directory = min(found)
    record = read_record(directory, kind)
    if finished:
        return Place(directory, record, finished=True, why=f"{directory} is finished")
    return Place(directory, record, why=f"going on with {directory}")


def _last_touched(directory: Path) -> float:
    return max(path.stat().st_mtime for path in [directory, *directory.glob("*.jsonl")])


def _readable_record(directory: Path, kind: type[Request]) -> RunRecord[Request] | None:
    try:
        return read_record(directory, kind)
    except CharlmError:
        return None


def _is_free(path: Path) -> bool:
    """Tell whether there is nothing in a directory but what a killed process left."""
    if not os.path.exists(path):
        return True
    return path.is_dir() and all(entry.name.startswith(".") for entry in path.iterdir())


def _recover(directory: Path) -> None:
    """Bring back what a run was to replace that was killed before it was anything itself."""
    if storage.waits_replaced(directory) and not storage.is_locked(directory):
        with storage.locked(directory):
            if _is_free(directory):
                storage.recover_replaced(directory)


def _numbered(path: Path) -> tuple[Path, Path | None]:
    """Find the first free name, NAME, NAME-2, NAME-3, ..., and the last that is taken."""
    number, free, last = 1, path, None
    _recover(path)
    while not _is_free(free) or storage.is_locked(free):
        number, last = number + 1, free
        free = path.with_name(f"{path.name}-{number}")
        _recover(free)
    return free, last
