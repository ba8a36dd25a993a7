"""The one training loop: truncated backpropagation through time over whatever a task provides.

The trainer knows neither words nor numbers. A `Task` gives it batches, the sum of nats over a
batch with its gradient, and a validation score; the trainer carries the hidden state from batch to
batch, detached (Williams & Peng 1990), and decides when to step, to validate, to save and to stop.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from charlm.errors import DivergedError
from charlm.training.budget import Budget
from charlm.training.checkpoints import Checkpoint, Checkpoints
from charlm.training.gradients import Gradients
from charlm.training.keeping import Kept
from charlm.training.loop import LoopOptions
from charlm.training.memory import memory_errors
from charlm.training.optimizers import (
    OptimizerOptions,
    clip_gradients,
    make_optimizer,
    set_learning_rate,
)
from charlm.training.processes import Processes
from charlm.training.progress import Progress
from charlm.training.snapshot import (
    are_finite,
    capture,
    damaged_checkpoints,
    save_for_all,
    set_carried,
    set_optimizer,
    set_weights,
    train_state,
    weights_of,
)
from charlm.training.task import ScalesRates, Task, TrainState

MAX_BAD_STEPS = 3  # in a row, before the run goes back to its last good checkpoint
MAX_ROLLBACKS = 3
VALIDATION_SHARE = 0.05  # of a budget in minutes, at most, goes into validations on the way


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
        checkpoints: Checkpoints | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.task = task
        self.budget = budget
        self.optimizer_options = optimizer
        self.options = loop
        self.progress = progress
        self.stop_requested = stop_requested
        self.checkpoints = checkpoints
        self.processes = processes or Processes()
        self.optimizer = make_optimizer(task.module, optimizer)
        self.state = TrainState(next_validation=loop.validate_every, pieces=loop.accumulate)
        self.hidden: Any = None
        self._kept = Kept(task.module, loop)
        self._stopping = False
        self._saved_step = -1
        self._saved_seconds = 0.0
        self._started = time.perf_counter()
        self._gradients = Gradients(task, self.processes, stop_requested, self._clock)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint as if the run had never stopped."""
        tensors = checkpoint.tensors
        with damaged_checkpoints(checkpoint.state["step"]):
            self.state = replace(train_state(checkpoint.state), stopped_by=None)
            set_weights(self.task.module, tensors["model"])
            set_optimizer(self.optimizer, tensors["optimizer"])
            carried, seed = tensors["carried"], self.options.seed
            self.hidden = set_carried(self.task, carried, self.processes, seed)
            self._kept.restore(checkpoint)
            self.progress.restore(checkpoint.state["progress"])
            self.task.batches(self.state.position, self._progress)  # can they begin there?
        self._saved_step, self._saved_seconds = self.state.step, self.state.seconds

    def fit(self) -> TrainState:
        """Train until the budget is used up, patience ends or a stop is asked for.

        Raises DivergedError, OutOfMemoryError, DiskError or LostProcessError.
        """
        self.task.module.train()
        self._started = time.perf_counter() - self.state.seconds
        if self._saved_step < 0:
            self.save()  # a disk too small, or a directory not to be written to, shows now
        with memory_errors("training"):
            self._train()
        self._keep_best()
        return self.state

    def _train(self) -> None:
        """Take steps until the end, and save it; returns to a checkpoint may come between."""
        while True:
            batches = self.task.batches(self.state.position, self._progress)
            rollbacks = self.state.rollbacks
            while rollbacks == self.state.rollbacks and self._goes_on():
                batch, position = next(batches)
                self.train_step(batch)
                self.state.position = position
                self._save_or_roll_back()
            if rollbacks == self.state.rollbacks and self._save_end():
                return

    def _save_or_roll_back(self) -> None:
        step, seconds = self.state.step, self.state.seconds - self._saved_seconds
        due = self.options.save_is_due(step, self.state.scheduled_step, seconds)
        if self.state.bad_in_a_row >= MAX_BAD_STEPS:
            self._roll_back()
        elif self.state.bad_in_a_row == 0 and due:
            self.save()

    def _save_end(self) -> bool:
        """Save where the loop ended; tell whether that is the end, and not a return."""
        if self.state.stopped_by == "request" and self._saved_step == self.state.step:
            return True
        rollbacks = self.state.rollbacks
        self.save(scheduled=False)
        return rollbacks == self.state.rollbacks

    def _goes_on(self) -> bool:
        """Validate where that is due; tell whether another step is to be taken."""
        state, progress = self.state, self._progress()
        due = progress >= 1.0 or progress >= state.next_validation
        if due and state.validated_step != state.step and not self._must_stop():
            self.validate()
        if self._must_stop():
            state.stopped_by = "request"
        elif progress >= 1.0:
            state.stopped_by = "budget"
        elif 0 < self.options.patience <= state.validations_since_best:
            state.stopped_by = "patience"
        return state.stopped_by is None

    def train_step(self, batch: Any) -> None:  # noqa: ANN401
        """Take one truncated-BPTT step: B streams, T steps, one update."""
        progress = self._progress()
        factor = self.options.rate_factor(progress)
        rate = self.optimizer_options.learning_rate * factor * 0.5**self.state.rollbacks
        if isinstance(self.task, ScalesRates):
            rate *= self.task.rate_factor(batch)
        set_learning_rate(self.optimizer, rate)
        targets = self.task.num_targets(batch)
        gathered = self._gradients.gather(batch, self.hidden, self.state.pieces)
        self.hidden, self.state.pieces = gathered.hidden, gathered.pieces
        self._stopping = self._stopping or gathered.stop
        self.state.seconds = gathered.clock
        nats = gathered.nats
        norm = clip_gradients(self.task.module.parameters(), self.optimizer_options.clip_norm)
        good = math.isfinite(nats) and math.isfinite(float(norm))
        if good:
            self.optimizer.step()
            self._kept.averaging.follow(progress)
            self.state.bad_in_a_row = 0
        self.optimizer.zero_grad(set_to_none=True)
        self.state.step += 1
        self.state.targets += targets
        if good:
            step, seconds = self.state.step, self.state.seconds
            self.progress.step(step, targets, nats, rate, float(norm), seconds)
        else:
            self._skip_bad_step(targets)

    def validate(self) -> None:
        """Score the held-out part; remember the weights if they are the best so far."""
        began, state = self._seconds(), self.state
        self.task.module.eval()
        rank, size = self.processes.rank, self.processes.size
        with self._kept.averaging.in_place():
            score = self.task.validate(rank, size, self.stop_requested)
        self.task.module.train()
        if score is None:
            state.validated_step = state.step
            state.next_validation = self._next_validation(self.options.validate_every)
            return
        clock = self._clock() if rank == 0 else 0.0
        numbers = [score.nats, score.targets, float(not score.complete), clock]
        nats, targets, incomplete, state.seconds = self.processes.sums(numbers)
        if incomplete:  # it was asked to stop: the run will begin with this validation again
            self._stopping = True
            return
        state.validation_seconds = self._seconds() - began
        state.validated_step = state.step
        state.next_validation = self._next_validation(self._validation_interval())
        self._kept.judge(state, nats / max(targets, 1))
        self.progress.validation(state.step, nats / max(targets, 1), self._seconds())

    def save(self, scheduled: bool = True) -> None:
        """Write a checkpoint; with several processes the first one writes for all.

        Weights that are not finite are never saved: the run goes back to the last good ones.
        """
        if self.checkpoints is None:
            return
        if not are_finite(weights_of(self.task.module)):
            return self._roll_back()
        self.state.seconds = self._seconds()
        if scheduled:
            self.state.scheduled_step = self.state.step
        kept = self._kept.tensors()
        checkpoint = capture(
            self.task, self.state, self.optimizer, self.hidden, kept, self.processes
        )
        checkpoint.state["scheduled"] = scheduled
        checkpoint.state["progress"] = self.progress.state()
        checkpoint.state.update(self._kept.state())
        save_for_all(self.checkpoints, checkpoint, self.processes)
        self._saved_step, self._saved_seconds = self.state.step, self.state.seconds

    def _skip_bad_step(self, targets: int) -> None:
        """Take note of a step without finite loss and gradient; nothing of it is kept."""
        self.progress.skipped(self.state.step, targets, self.state.position)
        self.state.skipped_steps += 1
        self.state.bad_in_a_row += 1
        self.hidden = None

    def _roll_back(self) -> None:
        """Go back to the last good checkpoint with half the rate."""
        step, rollbacks, skipped = self.state.step, self.state.rollbacks, self.state.skipped_steps
        checkpoint = None if self.checkpoints is None else self._last_good()
        if checkpoint is None or rollbacks >= MAX_ROLLBACKS:
            raise DivergedError(
                f"training diverged: {self.state.bad_in_a_row} steps in a row up to step {step} "
                f"had no finite loss and gradient, after {rollbacks} returns to a checkpoint",
                f"try a lower --lr than {self.optimizer_options.learning_rate:g}",
            )
        seconds = self._seconds()
        self.restore(checkpoint)
        self.optimizer.zero_grad(set_to_none=True)
        self.state.rollbacks, self.state.skipped_steps = rollbacks + 1, skipped
        self.state.seconds = self._saved_seconds = seconds
        self.progress.rollback(step, self.state.step, 0.5**self.state.rollbacks)

    def _last_good(self) -> Checkpoint | None:
        assert self.checkpoints is not None
        if self.processes.rank == 0:
            self.checkpoints.newest_scheduled()  # removes what is newer
        self.processes.wait()
        return self.checkpoints.newest_scheduled()

    def _must_stop(self) -> bool:
        self._stopping |= self.processes.size == 1 and self.stop_requested()
        return self._stopping

    def _keep_best(self) -> None:
        """Put the best weights in the place of the last ones."""
        self._kept.put_back()

    def _progress(self) -> float:
        state = self.state
        seconds, reserve = self._seconds(), state.validation_seconds
        return self.budget.progress(state.step, state.targets, seconds, reserve)

    def _next_validation(self, interval: float) -> float:
        """Give the progress at which to validate again: not shortly before the end's."""
        progress = self._progress() + interval
        return progress if progress <= 1.0 - interval / 2 else 1.0

    def _validation_interval(self) -> float:
        """Keep validations rare enough that they cost little of a budget in minutes."""
        interval = self.options.validate_every
        if self.budget.seconds is None:
            return interval
        allowed = VALIDATION_SHARE * self.budget.seconds
        return max(interval, self.state.validation_seconds / allowed)

    def _seconds(self) -> float:
        """Give the time used: alone, the clock's; with others, what the first one's said last."""
        if self.processes.size > 1:
            return self.state.seconds
        return self._clock()

    def _clock(self) -> float:
        return time.perf_counter() - self._started
