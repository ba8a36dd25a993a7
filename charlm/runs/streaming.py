"""What all tasks share whose batches are streams and whose states are a recurrent stack's.

Legend: B streams, T steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from charlm.batches.batch import Batch, Position
from charlm.errors import ModelError
from charlm.model.state import State, detach_state, select_state, stack_states
from charlm.training.processes import rows_of
from charlm.training.task import Score

RELEASE_EVERY = 64  # batches


class Batches(Protocol):
    """Streams or padded documents: batches, each with the position after it."""

    def batches(
        self, position: Position | None = None, progress: Callable[[], float] = lambda: 1.0
    ) -> Iterator[tuple[Batch, Position]]:
        """Yield (batch, position after it) without end, as befits the run's progress."""


class StreamModule(Protocol):
    """A module that begins streams."""

    def initial_state(self, batch_size: int) -> State:
        """Give the state before anything is read, for so many streams."""


class StreamTask(ABC):
    """A `charlm.training.task.Task` but for the loss of a window and the validation."""

    module: Any  # an nn.Module that is a StreamModule

    def __init__(
        self,
        module: nn.Module,
        batches: Batches,
        device: torch.device,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.module = module
        self.device = device
        self._batches = batches
        self._release = release  # gives back the memory of what was read

    @abstractmethod
    def loss_of_window(self, batch: Batch, state: State) -> tuple[Tensor, State]:
        """Give the sum of losses over the batch's real targets and the state after it."""

    @abstractmethod
    def validate(self, rank: int, size: int, stop: Callable[[], bool]) -> Score | None:
        """Score this process's share of the held-out part; None where there is none."""

    def batches(
        self,
        position: Any,  # noqa: ANN401
        progress: Callable[[], float] = lambda: 1.0,
    ) -> Iterator[tuple[Batch, Any]]:
        """Yield (batch, position after it) without end; positions are plain data."""
        start = None if position is None else Position.from_json(position)
        return self._batches_from(start, progress)

    def _batches_from(
        self, start: Position | None, progress: Callable[[], float]
    ) -> Iterator[tuple[Batch, Any]]:
        for number, (batch, after) in enumerate(self._batches.batches(start, progress)):
            if number % RELEASE_EVERY == 0:
                self._release()
            yield batch, after.to_json()

    def share(self, batch: Batch, rank: int, size: int) -> Batch | None:
        """Give the streams of a batch that process `rank` of `size` reads; None for none."""
        if size == 1:
            return batch
        start, end = rows_of(rank, size, len(batch.inputs))
        return batch.rows(start, end) if end > start else None

    def split(
        self, batch: Batch, state: State | None, pieces: int
    ) -> list[tuple[Batch, State | None]]:
        """Cut batch and state along the streams."""
        if pieces == 1:
            return [(batch, state)]
        parts, start, result = batch.split(pieces), 0, []
        for part in parts:
            end = start + len(part.inputs)
            index = torch.arange(start, end, device=self.device)
            # a fresh batch may have another number of streams than the state before it
            carried = None if state is None or batch.fresh else select_state(state, index)
            result.append((part, carried))
            start = end
        return result

    def join(self, states: list[State]) -> State:
        """Put the states of the slices together again."""
        return states[0] if len(states) == 1 else stack_states(states)

    def loss(self, batch: Batch, state: State | None) -> tuple[Tensor, State]:
        """Give the sum of losses over the batch's real targets and the detached state after it."""
        if state is None or batch.fresh:
            state = self.module.initial_state(len(batch.inputs))
        elif len(state[0]) != len(batch.inputs):
            raise ModelError("the checkpoint's hidden states are of another number of streams")
        total, state = self.loss_of_window(batch, state)
        return total, detach_state(state)

    def num_targets(self, batch: Batch) -> int:
        """Count the batch's real targets."""
        return batch.num_targets

    def rate_factor(self, batch: Batch) -> float:
        """Give what the learning rate of a batch's step is multiplied by."""
        return batch.rate_factor

    def pack(self, state: State | None) -> list[Tensor]:
        """Turn a state into tensors with one row for each stream; None is one of no streams."""
        return list(self.module.initial_state(0) if state is None else state)

    def unpack(self, tensors: Sequence[Tensor]) -> State:
        """Make a state of such tensors; raise ModelError where they are of another network."""
        own = [tensor.shape[1:] for tensor in self.module.initial_state(0)]
        if [tensor.shape[1:] for tensor in tensors] != own or len(set(map(len, tensors))) > 1:
            raise ModelError(
                "the checkpoint's hidden states are of another network than this run's"
            )
        return tuple(tensors)

    def tensor(self, array: np.ndarray) -> Tensor:
        """Put an array where the module computes."""
        return torch.from_numpy(array).to(self.device, non_blocking=True)
