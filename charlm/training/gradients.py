"""The gradient of one batch: slice by slice, over all processes, in less memory if need be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from charlm.errors import OutOfMemoryError
from charlm.training.memory import HINT, is_out_of_memory
from charlm.training.processes import Processes
from charlm.training.task import Task

MAX_HALVINGS = 4  # of what is computed at a time


@dataclass(frozen=True)
class Gathered:
    """What one batch gave, beside the gradients of the parameters.

    nats:   the sum over all targets, in all processes
    hidden: the state after the batch, of this process's streams
    pieces: the slices that the batch had to be cut into
    stop:   some process was asked to stop
    clock:  the first process's clock, in seconds
    """

    nats: float
    hidden: Any
    pieces: int
    stop: bool
    clock: float


class Gradients:
    """Leaves in every parameter the mean gradient over all targets of a batch."""

    def __init__(
        self,
        task: Task,
        processes: Processes,
        stop_requested: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._task = task
        self._processes = processes
        self._stop_requested = stop_requested
        self._clock = clock

    def gather(self, batch: Any, hidden: Any, pieces: int) -> Gathered:  # noqa: ANN401
        """Read a batch from the state `hidden`, cut into at least `pieces` slices.

        Where memory runs out, in any process, all try again with twice as many; OutOfMemoryError
        where even that does not help.
        """
        for _ in range(MAX_HALVINGS + 1):
            nats, after, short = self._try(batch, hidden, pieces)
            clock = self._clock() if self._processes.rank == 0 else 0.0
            numbers = [nats, float(self._stop_requested()), float(short), clock]
            nats, stop, anyone_short, clock = self._processes.sums(numbers)
            if not anyone_short:
                self._add_up()
                return Gathered(nats, after, pieces, stop > 0, clock)
            self._task.module.zero_grad(set_to_none=True)
            pieces *= 2
        raise OutOfMemoryError(
            f"memory ran out, though batches were cut into {pieces // 2} pieces", HINT
        )

    def _try(self, batch: Any, hidden: Any, pieces: int) -> tuple[float, Any, bool]:  # noqa: ANN401
        """Go through this process's slices; say whether memory was too short."""
        total, states = 0.0, []
        share = self._task.share(batch, self._processes.rank, self._processes.size)
        if share is None:
            return 0.0, None, False
        targets = max(self._task.num_targets(batch), 1)
        try:
            for piece, before in self._task.split(share, hidden, pieces):
                nats, state = self._task.loss(piece, before)
                (nats / targets).backward()  # type: ignore[no-untyped-call]
                total += float(nats.detach())
                states.append(state)
            return total, self._task.join(states), False
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return 0.0, None, True

    def _add_up(self) -> None:
        if self._processes.size == 1:
            return
        parameters = [p for p in self._task.module.parameters() if p.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:  # a process without streams
                parameter.grad = parameter.new_zeros(parameter.shape)
        self._processes.add_up([p.grad for p in parameters if p.grad is not None])
