"""One session of training in a run's directory: from its newest checkpoint, with its logs.

What is trained, and what for, is the caller's. With several processes the first one reads and
writes for all.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from charlm import storage
from charlm.errors import DiskError
from charlm.runs.dialogue import Stop, Tell
from charlm.runs.place import CHECKPOINTS, LOGS
from charlm.runs.request import RunRequest
from charlm.sinks.opening import open_sinks
from charlm.sinks.sink import SinkRun
from charlm.storage import LineLog
from charlm.training.budget import Budget
from charlm.training.checkpoints import Checkpoint, Checkpoints
from charlm.training.loop import LoopOptions
from charlm.training.optimizers import OptimizerOptions
from charlm.training.processes import Processes
from charlm.training.progress import Measure, Progress, Report
from charlm.training.task import Task, TrainState
from charlm.training.trainer import Trainer

BYTES_PER_PARAMETER = 4 * 4  # weights, two moments, best weights, in float32
CHECKPOINTS_KEPT = 3


@dataclass(frozen=True)
class Course:
    """How a task is to be trained, and in which unit its loss is told."""

    budget: Budget
    optimizer: OptimizerOptions
    loop: LoopOptions
    measure: Measure = field(default_factory=Measure)


def train_in(
    directory: Path,
    make_task: Callable[[], Task],
    course: Course,
    *,
    request: RunRequest,
    parameters: int,
    processes: Processes,
    stream: TextIO | None,
    stop: Stop,
    tell: Tell,
    report: Report | None = None,
) -> TrainState:
    """Train, from the newest checkpoint where there is one, until the budget is used up.

    request: says whether an older checkpoint may do where the newest is damaged, and which sinks
             the logs go to besides
    report:  is told of each validation
    Raises what `Trainer.fit` raises, and DiskError where checkpoints will not fit.
    """
    checkpoints = Checkpoints(directory / CHECKPOINTS, tell)
    first = processes.rank == 0
    if first:
        checkpoints.clean()
    processes.wait()
    checkpoint = checkpoints.newest(request.fallback) if first else None
    step = -1 if checkpoint is None else checkpoint.state["step"]
    [step] = processes.sums([step if first else 0])
    if not first and step >= 0:
        checkpoint = checkpoints.at(int(step))
    if first and checkpoint is None:
        _check_space(directory, parameters)
    elif first and checkpoint is not None:
        tell(f"going on from step {checkpoint.state['step']:,}")
    logs = _logs(directory, checkpoint, tell) if first else {}
    with Progress(course.budget, course.measure, stream=stream, report=report, **logs) as progress:
        if first:
            told = SinkRun(directory, asdict(request), int(step) if step >= 0 else None)
            progress.observers = open_sinks(request.sinks, told, progress.tell)
        trainer = Trainer(
            make_task(),
            course.budget,
            course.optimizer,
            course.loop,
            progress,
            stop.requested,
            checkpoints,
            processes,
        )
        if checkpoint is not None:
            trainer.restore(checkpoint)
        with stop.training():
            return trainer.fit()


def _check_space(directory: Path, parameters: int) -> None:
    """Raise DiskError where the run's checkpoints will not fit on the disk."""
    needed = CHECKPOINTS_KEPT * BYTES_PER_PARAMETER * parameters
    free = storage.free_bytes(directory)
    if free is not None and free < needed:
        raise DiskError(
            f"{directory}: the run's checkpoints take {needed:,} bytes, {free:,} are free",
            "free some, or put the run on another disk with --out",
        )


def _logs(directory: Path, checkpoint: Checkpoint | None, tell: Tell) -> dict[str, LineLog]:
    """Open the logs; what was logged after the checkpoint will be logged again."""
    kept = {} if checkpoint is None else checkpoint.state["progress"]["logs"]
    names = [name.removesuffix(".jsonl") for name in LOGS]
    logs = {n: LineLog(directory / f"{n}.jsonl", keep=kept.get(n) or 0) for n in names}
    for log in logs.values():
        if log.lost:
            tell(f"warning: {log.path} has lost lines since the checkpoint was made")
    return logs
