"""What a run tells while it goes on: a line on standard error and two logs in the run directory.

`metrics.jsonl` holds only what the run determines; `timings.jsonl` holds what the clock says.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TextIO

from tqdm import tqdm

from charlm.storage import LineLog
from charlm.training.budget import Budget
from charlm.training.observer import Observer

LOG_EVERY = 50  # steps between two lines of the logs
SHOW_EVERY = 0.5  # seconds between two updates of the line on screen
SMOOTHING = 0.98
SMALL = 0.01

# the share of the budget that is used, and the held-out score in the run's measure
Report = Callable[[float, float], None]


@dataclass(frozen=True)
class Measure:
    """The unit in which people read the loss: nats per target times `scale`.

    held_out: the scale of the held-out text, where its targets are of another size
    counted:  what the targets are called
    steered:  what the held-out score is called
    """

    name: str = "nats"
    scale: float = 1.0
    held_out: float | None = None
    counted: str = "tokens"
    steered: str = "held out"

    @property
    def held_out_scale(self) -> float:
        """Give the scale of the held-out text."""
        return self.scale if self.held_out is None else self.held_out


@dataclass
class _Interval:
    """What has been learned from since the last line of the log."""

    targets: int = 0
    nats: float = 0.0
    since: float = 0.0


@dataclass
class Progress:
    """Shows and logs the course of a run. Without logs, stream and report it does nothing.

    report:    is told of each validation, such as to compare runs while they go on
    observers: may be set; are handed each line of either log, and are closed with it
    """

    budget: Budget
    measure: Measure = field(default_factory=Measure)
    metrics: LineLog | None = None
    timings: LineLog | None = None
    stream: TextIO | None = None
    report: Report | None = None
    observers: Sequence[Observer] = field(default=(), init=False)

    def __post_init__(self) -> None:
        self._interval = _Interval()
        self._targets = 0
        self._smooth: float | None = None
        self._valid: float | None = None
        self._shown = 0.0
        self._speed = 0.0
        self._bar = tqdm(
            total=100,
            disable=self.stream is None or not self.stream.isatty(),
            file=self.stream or sys.stderr,
            bar_format="{percentage:3.0f}%|{bar}| {desc}",
            dynamic_ncols=True,
            leave=False,
        )

    def step(
        self, step: int, targets: int, nats: float, rate: float, norm: float, seconds: float
    ) -> None:
        """Take note of one optimizer step; `nats` is the sum over its `targets`."""
        mean = nats / max(targets, 1)
        if math.isfinite(mean):
            last = mean if self._smooth is None else self._smooth
            self._smooth = SMOOTHING * last + (1 - SMOOTHING) * mean
        self._targets += targets
        self._interval.targets += targets
        self._interval.nats += nats
        if step % LOG_EVERY == 0:
            self._log(step, rate, norm, seconds)
        if seconds - self._shown >= SHOW_EVERY:
            self._show(step, seconds)

    def skipped(self, step: int, targets: int, position: Any) -> None:  # noqa: ANN401
        """Take note of a step whose loss or gradient was not finite; `position` is before it."""
        self._targets += targets
        self._write(self.metrics, {"step": step, "skipped": True, "position": position})

    def rollback(self, step: int, to: int, factor: float) -> None:
        """Take note of a return from `step` to the checkpoint of step `to`."""
        line = {"step": step, "rolled_back_to": to, "learning_rate_factor": factor}
        self._write(self.metrics, line)
        self._say(f"\nstep {step}: NaN or infinity; back to step {to}, at half the rate\n")

    def state(self) -> dict[str, Any]:
        """Give what a resumed run needs to log on as if it had never stopped.

        The logs are brought to the disk; their sizes say what belongs to this state.
        """
        logs = {"metrics": self.metrics, "timings": self.timings}
        return {
            "interval_targets": self._interval.targets,
            "interval_nats": self._interval.nats,
            "targets": self._targets,
            "smooth": self._smooth,
            "valid": self._valid,
            "logs": {name: None if log is None else log.sync() for name, log in logs.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._interval = _Interval(state["interval_targets"], state["interval_nats"])
        self._targets, self._smooth = state["targets"], state["smooth"]
        self._valid = state["valid"]

    def validation(self, step: int, nats: float, seconds: float) -> None:
        """Take note of one validation; `nats` is per target."""
        self._valid = nats
        line = {"step": step, "targets": self._targets, "validation_nats": _plain(nats)}
        self._write(self.metrics, line | self._as_measured(nats))
        timing = {"step": step, "seconds": round(seconds, 3), "validation": True}
        self._write(self.timings, timing)
        self._show(step, seconds)
        if self.report is not None:
            self.report(self._progress(step, seconds), nats * self.measure.held_out_scale)
        if self._bar.disable:
            percent = f"{100 * self._progress(step, seconds):3.0f}%"
            self._say(f"{percent} {self._description(step, seconds)}\n")

    def _log(self, step: int, rate: float, norm: float, seconds: float) -> None:
        interval = self._interval
        mean = interval.nats / max(interval.targets, 1)
        self._speed = interval.targets / max(seconds - interval.since, 1e-9)
        line = {"step": step, "targets": self._targets, "nats": _plain(mean)}
        line |= {"learning_rate": rate, "gradient_norm": _plain(norm)}
        self._write(self.metrics, line)
        speed = round(self._speed, 1)
        timing = {"step": step, "seconds": round(seconds, 3), "targets_per_second": speed}
        self._write(self.timings, timing)
        self._interval = _Interval(since=seconds)

    def _as_measured(self, nats: float) -> dict[str, float | None]:
        """Give a validation in the unit that people read too, where that is another."""
        if self.measure.held_out_scale == 1:
            return {}
        name = self.measure.name.replace(" ", "_")
        return {f"validation_{name}": _plain(nats * self.measure.held_out_scale)}

    def _write(self, log: LineLog | None, line: dict[str, Any]) -> None:
        if log is not None:
            log.append(line)
        for observer in self.observers:
            observer.observe(line)

    def tell(self, line: str) -> None:
        """Say a line above the one on screen."""
        self._bar.clear()
        self._say(line + "\n")

    def _say(self, text: str) -> None:
        """Write to the stream; if nobody reads it any more, train on in silence."""
        if self.stream is not None:
            try:
                self.stream.write(text)
            except OSError:
                self.stream = None

    def _show(self, step: int, seconds: float) -> None:
        self._shown = seconds
        if not self._bar.disable:
            self._bar.n = round(100 * self._progress(step, seconds), 1)
            self._bar.set_description_str(self._description(step, seconds))

    def _description(self, step: int, seconds: float) -> str:
        text = ""
        if self._smooth is not None:
            text = f"{_shown(self._smooth * self.measure.scale)} {self.measure.name}"
        if self._valid is not None:
            text += f" ({self.measure.steered} {_shown(self._valid * self.measure.held_out_scale)})"
        if self._speed:
            text += f", {self._speed:,.0f} {self.measure.counted}/s"
        progress = self._progress(step, seconds)
        left = round(seconds * (1 - progress) / progress) if progress > 0 else 0
        return text + f", {left // 60}:{left % 60:02d} left"

    def _progress(self, step: int, seconds: float) -> float:
        return self.budget.progress(step, self._targets, seconds, 0.0)

    def close(self) -> None:
        """Take the line off the screen and close the logs; observers come last: they may wait."""
        self._bar.close()
        for log in (self.metrics, self.timings):
            if log is not None:
                log.close()
        for observer in self.observers:
            observer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()


def _shown(number: float) -> str:
    """Write a loss briefly; a series without noise has very small ones."""
    return f"{number:.3f}" if abs(number) >= SMALL else f"{number:.2g}"


def _plain(number: float) -> float | None:
    """JSON knows no NaN and no infinity."""
    return number if math.isfinite(number) else None
