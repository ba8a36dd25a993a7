"""The one training loop: truncated backpropagation through time over whatever a task provides.

The trainer knows neither words nor numbers. A `Task` gives it batches, the sum of nats over a
batch with its gradient, and a validation score; the trainer carries the hidden state from batch to
batch, detached (Williams & Peng 1990), and decides when to step, to validate and to stop.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from charlm.errors import DivergedError
from charlm.options import check, option
from charlm.training.budget import Budget
from charlm.training.optimizers import (
    OptimizerOptions,
    clip_gradients,
    make_optimizer,
    set_learning_rate,
)
from charlm.training.progress import Progress
from charlm.training.schedules import SCHEDULES

MAX_BAD_STEPS = 10
VALIDATION_SHARE = 0.05  # of a budget in minutes, at most, goes into validations on the way


class Task(Protocol):
    """What the trainer knows of the thing it trains; states and batches are opaque to it."""

    @property
    def module(self) -> nn.Module:
        """Give what is trained."""

    def batches(self, position: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401
        """Yield (batch, position after it) without end, from a position given as plain data."""

    def split(self, batch: Any, state: Any, pieces: int) -> list[tuple[Any, Any]]:  # noqa: ANN401
        """Cut batch and state along the streams, for gradient accumulation."""

    def join(self, states: list[Any]) -> Any:  # noqa: ANN401
        """Put the states of the slices together again."""

    def loss(self, batch: Any, state: Any) -> tuple[Tensor, Any]:  # noqa: ANN401
        """Give the sum of nats over the batch's targets and the detached state after it."""

    def num_targets(self, batch: Any) -> int:  # noqa: ANN401
        """Count the batch's real targets."""

    def validate(self) -> float | None:
        """Score the held-out part in nats per target; None where there is none."""


@dataclass(frozen=True)
class LoopOptions:
    """How the loop behaves; what the optimizer does is in `OptimizerOptions`."""

    schedule: str = option("linear", "course of the learning rate: linear (to zero) or constant")
    warmup: float = option(0.02, "share of the run over which the rate rises")
    accumulate: int = option(1, "slices a batch is cut into, to save memory; the result is equal")
    validate_every: float = option(0.1, "share of the run between two validations")
    patience: int = option(0, "stop after N validations without gain; 0 never stops")

    def __post_init__(self) -> None:
        known = ", ".join(SCHEDULES)
        check(self.schedule in SCHEDULES, f"--schedule must be one of {known}")
        check(0 <= self.warmup < 1, "--warmup must be at least 0 and below 1")
        check(self.accumulate >= 1, "--accumulate must be 1 or more")
        check(0 < self.validate_every <= 1, "--validate-every must be above 0 and at most 1")
        check(self.patience >= 0, "--patience must be 0 or more")


@dataclass
class TrainState:
    """Where a run is, as plain data."""

    step: int = 0
    targets: int = 0
    position: Any = None
    seconds: float = 0.0
    best_nats: float = math.inf
    best_step: int = 0
    validations_since_best: int = 0
    skipped_steps: int = 0
    stopped_by: str = "budget"


class Trainer:
    """Trains a task's module until its budget is used up; the best weights are kept."""

    def __init__(
        self,
        task: Task,
        budget: Budget,
        optimizer: OptimizerOptions,
        loop: LoopOptions,
        progress: Progress,
        stop_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        self.task = task
        self.budget = budget
        self.optimizer_options = optimizer
        self.options = loop
        self.progress = progress
        self.stop_requested = stop_requested
        self.optimizer = make_optimizer(task.module, optimizer)
        self.state = TrainState()
        self.hidden: Any = None
        self._best: dict[str, Tensor] | None = None
        self._bad_in_a_row = 0
        self._next_validation = loop.validate_every
        self._validation_seconds = 0.0

    def fit(self) -> TrainState:
        """Train until the budget is used up, patience ends or a stop is asked for."""
        self.task.module.train()
        self._started = time.perf_counter() - self.state.seconds
        for batch, position in self.task.batches(self.state.position):
            progress = self._progress()
            if progress >= 1.0 or self._must_stop():
                break
            self.train_step(batch, progress)
            self.state.position = position
            if self._progress() >= self._next_validation:
                self.validate()
        if self.state.stopped_by != "request":
            self.validate()
        self._keep_best()
        self.state.seconds = self._seconds()
        return self.state

    def train_step(self, batch: Any, progress: float) -> None:  # noqa: ANN401
        """Take one truncated-BPTT step: B streams, T steps, one update."""
        factor = SCHEDULES[self.options.schedule](progress, self.options.warmup)
        rate = self.optimizer_options.learning_rate * factor
        set_learning_rate(self.optimizer, rate)
        targets = self.task.num_targets(batch)
        nats = self._accumulate_gradients(batch, targets)
        norm = clip_gradients(self.task.module.parameters(), self.optimizer_options.clip_norm)
        if math.isfinite(nats) and math.isfinite(float(norm)):
            self.optimizer.step()
            self._bad_in_a_row = 0
        else:
            self._skip_bad_step(nats, float(norm))
        self.optimizer.zero_grad(set_to_none=True)
        self.state.step += 1
        self.state.targets += targets
        seconds = self._seconds()
        self.progress.step(self.state.step, targets, nats, rate, float(norm), seconds)

    def validate(self) -> None:
        """Score the held-out part; remember the weights if they are the best so far."""
        began = time.perf_counter()
        self.task.module.eval()
        nats = self.task.validate()
        self.task.module.train()
        self._validation_seconds = time.perf_counter() - began
        self._next_validation = self._progress() + self._validation_interval()
        if nats is None:
            return
        if nats < self.state.best_nats:
            self.state.best_nats, self.state.best_step = nats, self.state.step
            self.state.validations_since_best = 0
            self._best = {k: v.detach().clone() for k, v in self.task.module.state_dict().items()}
        else:
            self.state.validations_since_best += 1
        self.progress.validation(self.state.step, nats, self._seconds())

    def _accumulate_gradients(self, batch: Any, targets: int) -> float:  # noqa: ANN401
        """Add up the gradients of the batch's slices; give the sum of nats."""
        total, states = 0.0, []
        for piece, hidden in self.task.split(batch, self.hidden, self.options.accumulate):
            nats, state = self.task.loss(piece, hidden)
            (nats / max(targets, 1)).backward()  # type: ignore[no-untyped-call]
            total += float(nats.detach())
            states.append(state)
        self.hidden = self.task.join(states)
        return total

    def _skip_bad_step(self, nats: float, norm: float) -> None:
        self.state.skipped_steps += 1
        self._bad_in_a_row += 1
        self.hidden = None
        if self._bad_in_a_row >= MAX_BAD_STEPS:
            raise DivergedError(
                f"training diverged: {MAX_BAD_STEPS} steps in a row had a loss of {nats} nats and "
                f"a gradient norm of {norm}",
                f"try a lower --lr than {self.optimizer_options.learning_rate:g}",
            )

    def _must_stop(self) -> bool:
        if self.stop_requested():
            self.state.stopped_by = "request"
            return True
        patience = self.options.patience
        if patience and self.state.validations_since_best >= patience:
            self.state.stopped_by = "patience"
            return True
        return False

    def _keep_best(self) -> None:
        """Put the best weights back, unless the last ones are the best or none were scored."""
        if self._best is not None and self.state.best_step != self.state.step:
            self.task.module.load_state_dict(self._best)
        self._best = None

    def _progress(self) -> float:
        reserve = self._validation_seconds
        return self.budget.progress(self.state.step, self.state.targets, self._seconds(), reserve)

    def _validation_interval(self) -> float:
        """Keep validations rare enough that they cost little of a budget in minutes."""
        interval = self.options.validate_every
        if self.budget.seconds is None:
            return interval
        return max(interval, self._validation_seconds / (VALIDATION_SHARE * self.budget.seconds))

    def _seconds(self) -> float:
        return time.perf_counter() - self._started
