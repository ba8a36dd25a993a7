"""The most memory that training takes: each contestant in a process of its own."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from charlm.benchmark.shapes import Shape
from charlm.errors import LostProcessError, OutOfMemoryError
from charlm.training.memory import HINT, memory_errors

STEPS = 3  # the third takes no more than the second, where every buffer is there
PROGRAM = "from charlm.benchmark.memory import serve; serve()"
STATUS = Path("/proc/self/status")
KILOBYTE = 1024
KILLED = -9  # by the system, for want of memory


@dataclass(frozen=True)
class Memory:
    """The largest resident sizes in bytes, PyTorch and all; `ratio` is own to other."""

    name: str
    own: int
    other: int

    @property
    def ratio(self) -> float:
        """Divide the one by the other."""
        return self.own / self.other


def compare_memory(shape: Shape, threads: int, bf16: bool) -> Memory | None:
    """Let charlm and the textbook loop each take steps; None where the system does not tell.

    Raises OutOfMemoryError where a process ran out of it or was killed, LostProcessError where it
    ended by another fault.
    """
    if peak_bytes() is None:
        return None
    own, other = (_in_child(who, shape, threads, bf16) for who in ("own", "textbook"))
    return Memory(shape.name, own, other)


def peak_bytes() -> int | None:
    """Give the largest resident size of this process so far.

    Linux hands ru_maxrss down from parent to child; VmHWM begins anew with each program.
    """
    if STATUS.is_file():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * KILOBYTE
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * KILOBYTE


def _in_child(who: str, shape: Shape, threads: int, bf16: bool) -> int:
    task = {"who": who, "shape": asdict(shape), "threads": threads, "bf16": bf16}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        said = f"the process that measures memory ended with {done.returncode}: {last[:200]}"
        short = done.returncode in (OutOfMemoryError.exit_code, KILLED)
        if short or "bad_alloc" in done.stderr:
            raise OutOfMemoryError(said, HINT)
        raise LostProcessError(said)
    return int(done.stdout)


def serve() -> None:
    """Do the task that standard input describes, and write the peak in bytes."""
    task = json.loads(sys.stdin.read())
    try:
        with memory_errors("measuring memory"):
            _take_steps(task)
    except OutOfMemoryError as error:
        sys.stderr.write(f"{error.message}\n")
        sys.exit(error.exit_code)
    sys.stdout.write(str(peak_bytes()))


def _take_steps(task: dict[str, Any]) -> None:
    import torch

    from charlm.benchmark.ids import synthetic_ids
    from charlm.benchmark.steps import OwnStep, textbook_step
    from charlm.text.memory import freed_memory_kept

    shape = Shape(**task["shape"])
    torch.set_num_threads(task["threads"])
    ids = synthetic_ids(shape.kind, shape.vocab_size)
    own = task["who"] == "own"
    step = OwnStep(shape, ids, task["bf16"]) if own else textbook_step(shape, ids).step
    with freed_memory_kept() if own else nullcontext():  # as training keeps it
        for _ in range(STEPS):
            step()
