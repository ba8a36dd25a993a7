"""What the trainer knows of the thing it trains, and where a run stands, as plain data."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


@dataclass(frozen=True)
class Score:
    """A validation, or one process's share of it: the sum of nats over its targets.

    It is not `complete` where it was asked to stop on the way.
    """

    nats: float
    targets: int
    complete: bool = True


class Task(Protocol):
    """The thing a `Trainer` trains; its states and batches are opaque to the trainer."""

    @property
    def module(self) -> nn.Module:
        """Give what is trained."""

    def batches(
        self,
        position: Any,  # noqa: ANN401
        progress: Callable[[], float],
    ) -> Iterator[tuple[Any, Any]]:
        """Yield (batch, position after it) without end, from a position given as plain data.

        Batches may differ with the run's progress, from 0 to 1; it is asked before each.
        """

    def share(self, batch: Any, rank: int, size: int) -> Any | None:  # noqa: ANN401
        """Give the streams of a batch that process `rank` of `size` reads; None for none."""

    def split(self, batch: Any, state: Any, pieces: int) -> list[tuple[Any, Any]]:  # noqa: ANN401
        """Cut batch and state along the streams, for gradient accumulation."""

    def join(self, states: list[Any]) -> Any:  # noqa: ANN401
        """Put the states of the slices together again."""

    def loss(self, batch: Any, state: Any) -> tuple[Tensor, Any]:  # noqa: ANN401
        """Give the sum of nats over the batch's targets and the detached state after it."""

    def num_targets(self, batch: Any) -> int:  # noqa: ANN401
        """Count the batch's real targets."""

    def validate(self, rank: int, size: int, stop: Callable[[], bool]) -> Score | None:
        """Score this process's share of the held-out part; None where there is none."""

    def pack(self, state: Any) -> list[Tensor]:  # noqa: ANN401
        """Turn a state into tensors with one row for each stream; None is one of no streams."""

    def unpack(self, tensors: Sequence[Tensor]) -> Any:  # noqa: ANN401
        """Make a state of such tensors."""


@runtime_checkable
class ScalesRates(Protocol):
    """A task whose batches differ in how large a step they are worth."""

    def rate_factor(self, batch: Any) -> float:  # noqa: ANN401
        """Give what the learning rate of a batch's step is multiplied by."""


@dataclass
class TrainState:
    """Where a run is, as plain data.

    validated_step:  the step after which the held-out part was scored last
    next_validation: the share of the run at which it is scored next
    pieces:          slices that a batch is cut into; more where memory has been short
    bad_in_a_row:    steps without a finite gradient since the last good one
    rollbacks:       how often the run went back to a checkpoint; each halves the learning rate
    scheduled_step:  the step after which the run was last saved in its regular course
    stopped_by:      "budget", "patience" or "request"; None while it goes on
    """

    step: int = 0
    targets: int = 0
    position: Any = None
    seconds: float = 0.0
    best_nats: float | None = None
    best_step: int = 0
    validations_since_best: int = 0
    validated_step: int = -1
    next_validation: float = 0.0
    validation_seconds: float = 0.0
    skipped_steps: int = 0
    bad_in_a_row: int = 0
    rollbacks: int = 0
    pieces: int = 1
    scheduled_step: int = 0
    stopped_by: str | None = None
