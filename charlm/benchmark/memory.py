"""The most memory that training takes: each contestant in a process of its own."""

import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from charlm.benchmark.child import Task, ask_child
from charlm.benchmark.shapes import Shape

STEPS = 3  # the third takes no more than the second, where every buffer is there
STATUS = Path("/proc/self/status")
KILOBYTE = 1024


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
    task = {"shape": asdict(shape), "threads": threads, "bf16": bf16}
    own, other = (ask_child(take_steps, task | {"who": who}) for who in ("own", "textbook"))
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


def take_steps(task: Task) -> int | None:
    """Take a few steps as the contestant of a task, and give the peak: the child's part."""
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
    return peak_bytes()
