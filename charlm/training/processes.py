"""The processes that train one network together, on one machine or several; alone, one.

Each reads its share of every batch's streams. Gradients are summed and scaled by the number of
targets of the whole batch, so that W processes take the step that one would take. Whatever decides
the course of a run (the sum of nats, a request to stop, the clock) is summed too, so that all
decide alike.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from charlm.errors import LostProcessError, UsageError
from charlm.training.meeting import Meeting
from charlm.training.rendezvous import PATIENT_TIMEOUT, meet, meeting_errors

STEP_TIMEOUT = timedelta(seconds=30)


class Processes:
    """One process alone: nothing to wait for and nobody to ask."""

    rank = 0
    size = 1

    def sums(self, numbers: Sequence[float]) -> list[float]:
        """Add up each number over all processes, in float64."""
        return list(numbers)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""

    def gather_rows(self, tensor: Tensor) -> Tensor:
        """Put the rows of all processes together, in the order of their ranks."""
        return tensor

    def wait(self) -> None:
        """Wait until all have come so far, however long that takes."""

    def announce(self, text: str | None) -> str:
        """Give every process the text of the first."""
        return text or ""

    def agree(self, text: str, what: str) -> None:
        """Raise UsageError unless all processes have the same `text`."""


class TorchProcesses(Processes):
    """Several processes, started by torchrun, that talk through torch.distributed."""

    def __init__(self, device: torch.device, meeting: Meeting) -> None:
        self.rank, self.size = meeting.rank, meeting.size
        self._device = device if device.type == "cuda" else torch.device("cpu")
        backend = "nccl" if device.type == "cuda" else "gloo"
        with meeting_errors(meeting):
            dist.init_process_group(
                backend,
                store=meet(meeting),
                rank=meeting.rank,
                world_size=meeting.size,
                timeout=PATIENT_TIMEOUT,
            )
            self._group = dist.new_group(timeout=STEP_TIMEOUT)

    def leave(self, failed: bool) -> None:
        """End gloo's threads: one that drops a tensor while Python ends takes the process down.

        NCCL, after an error, might wait for those who are gone.
        """
        if not failed or self._device.type == "cpu":
            del self._group
            dist.destroy_process_group()

    def sums(self, numbers: Sequence[float]) -> list[float]:
        """Add up each number over all processes, in float64."""
        tensor = torch.tensor(numbers, dtype=torch.float64, device=self._device)
        with lost_processes():
            dist.all_reduce(tensor, group=self._group)
        return [float(number) for number in tensor.tolist()]

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes: one flat buffer, one exchange."""
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with lost_processes():
            dist.all_reduce(flat, group=self._group)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, part in zip(tensors, torch.split(flat, sizes), strict=True):
            tensor.copy_(part.view_as(tensor))

    def gather_rows(self, tensor: Tensor) -> Tensor:
        """Put the rows of all processes together, in the order of their ranks.

        The numbers of rows may differ: shorter ones are padded for the exchange. A process without
        rows may not know the precision of the others, so fractions travel as float32.
        """
        fraction = tensor.is_floating_point()
        own = tensor.to(self._device, torch.float32 if fraction else tensor.dtype)
        counts = [int(self.sums([len(own) if self.rank == r else 0])[0]) for r in range(self.size)]
        padded = own.new_zeros(max(counts), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in counts]
        with lost_processes():
            dist.all_gather(parts, padded, group=self._group)
        rows = [part[:count] for part, count in zip(parts, counts, strict=True)]
        return torch.cat(rows).to(tensor)

    def wait(self) -> None:
        """Wait until all have come so far, however long that takes."""
        with lost_processes():
            dist.all_reduce(torch.zeros(1, device=self._device))

    def announce(self, text: str | None) -> str:
        """Give every process the text of the first; the others wait, however long that takes."""
        data = torch.frombuffer(bytearray((text or "").encode() or b"\0"), dtype=torch.uint8)
        size = torch.tensor([len(data)], device=self._device)
        with lost_processes():
            dist.broadcast(size, src=0)
            buffer = data if self.rank == 0 else torch.zeros(int(size), dtype=torch.uint8)
            buffer = buffer.to(self._device)
            dist.broadcast(buffer, src=0)
        return bytes(buffer.cpu().tolist()).decode().strip("\0")

    def agree(self, text: str, what: str) -> None:
        """Raise UsageError, in every process, unless all have the same `text`."""
        own = hashlib.sha256(text.encode()).hexdigest()[:16]
        first = self.announce(own)
        if self.sums([float(own != first)])[0]:
            raise UsageError(
                f"the processes differ in {what}: the first has {first}, process {self.rank} {own}",
                "start all with the same command, files and version of charlm",
            )


@contextmanager
def join_processes(device: torch.device, meeting: Meeting) -> Iterator[Processes]:
    """Join the others of a run, or find ourselves alone.

    Raises UsageError where they do not meet.
    """
    if meeting.size == 1:
        yield Processes()
        return
    processes = TorchProcesses(device, meeting)
    try:
        yield processes
    except BaseException:
        processes.leave(failed=True)
        raise
    processes.leave(failed=False)


@contextmanager
def lost_processes() -> Iterator[None]:
    """Turn the loss of another process into LostProcessError; our own mistakes stay what they are.

    gloo speaks of its connections in plain RuntimeErrors; they begin with a place in its source.
    """
    try:
        yield
    except RuntimeError as fault:
        if not isinstance(fault, dist.DistError) and "/transport/" not in str(fault):
            raise
        raise LostProcessError(
            "another process of this run is lost; the last checkpoint is intact",
            "torchrun --max-restarts N goes on from there by itself",
        ) from fault


def rows_of(rank: int, size: int, streams: int) -> tuple[int, int]:
    """Give the first stream of process `rank` and the one after its last; the first has some."""
    return -(-rank * streams // size), -(-(rank + 1) * streams // size)
