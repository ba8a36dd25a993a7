"""The course of a run, read from its metrics.jsonl and timings.jsonl; see docs/formats.md.

The run may still be going on, may have been killed, and may have gone back to a checkpoint.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charlm.errors import ModelError

METRICS, TIMINGS = "metrics.jsonl", "timings.jsonl"
RECORD = "run.json"

Tell = Callable[[str], None]
# ValueError: not JSON, NaN, infinity; the last of them: a number too large for a float
DAMAGED = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)


@dataclass(frozen=True)
class Point:
    """What a run logged at one step; None for what it did not log there.

    tokens:  learned from until then, one or more
    nats:    mean per token: of training since the point before, with dropout, or of a validation
    seconds: in the training loop until then
    """

    step: int
    tokens: int
    nats: float
    seconds: float | None = None
    bits_per_byte: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None

    @property
    def bits(self) -> float:
        """Give the mean in bits per token."""
        return self.nats / math.log(2)


@dataclass(frozen=True)
class LearningCurve:
    """The points of a run, by step: of training, and of the validations of held-out text.

    numbers: it is a run on a series, whose loss has no unit that others share
    """

    training: tuple[Point, ...]
    held_out: tuple[Point, ...]
    numbers: bool = False

    def loss(self, point: Point) -> float:
        """Give a point's loss: in bits per token, or as the head of a series gives it."""
        return point.nats if self.numbers else point.bits


def read_learning_curve(run: Path, tell: Tell = lambda line: None) -> LearningCurve | None:
    """Read the curve of a run directory; None where there is no log, or no point in it yet.

    A last line without its end is left out: the run may still be writing it. What a run forgot
    when it went back to a checkpoint is no part of its curve. `tell` is told of damaged lines, by
    their numbers; they are left out too.

    Raises ModelError for a log that cannot be read or is none.
    """
    times, points = _Times(), _Points()
    _read(run / TIMINGS, times.take, tell)
    _read(run / METRICS, points.take, tell)
    if not points.training and not points.held_out:
        return None
    return LearningCurve(
        tuple(times.of_training(point) for point in points.training.values()),
        tuple(times.of_held_out(point) for point in points.held_out.values()),
        _is_of_numbers(run),
    )


def _is_of_numbers(run: Path) -> bool:
    """Tell whether a run learns from a series, as its record says."""
    try:
        record = json.loads((run / RECORD).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("kind") == "series"


class _Points:
    """Takes in the lines of metrics.jsonl; its points are by step, in order."""

    def __init__(self) -> None:
        self.training: dict[int, Point] = {}
        self.held_out: dict[int, Point] = {}

    def take(self, entry: Any) -> None:  # noqa: ANN401
        """Add the point of a line; take back those that it says, or shows, were forgotten."""
        step = int(entry["step"])
        if "rolled_back_to" in entry:
            self._forget(int(entry["rolled_back_to"]))
            return
        nats, held_out = _number(entry, "nats"), _number(entry, "validation_nats")
        rate, bits = _number(entry, "learning_rate"), _number(entry, "validation_bits_per_byte")
        found = nats is not None or held_out is not None
        tokens = int(entry["targets"]) if found else 0
        self._forget(step)  # steps only go up: unless a run has gone back there is nothing to
        if nats is not None and tokens > 0:  # None: it was not finite
            self.training[step] = Point(step, tokens, nats, learning_rate=rate)
        if held_out is not None and tokens > 0:
            self.held_out[step] = Point(step, tokens, held_out, bits_per_byte=bits)

    def _forget(self, last: int) -> None:
        for points in (self.training, self.held_out):
            while points and next(reversed(points)) > last:
                points.popitem()


class _Times:
    """Takes in the lines of timings.jsonl; of a step that was done twice the last one counts."""

    def __init__(self) -> None:
        self._training: dict[int, float | None] = {}
        self._held_out: dict[int, float | None] = {}
        self._speeds: dict[int, float | None] = {}

    def take(self, entry: Any) -> None:  # noqa: ANN401
        """Note the time of a line."""
        step, seconds = int(entry["step"]), _number(entry, "seconds")
        if entry.get("validation"):
            self._held_out[step] = seconds
        else:
            self._training[step] = seconds
            self._speeds[step] = _number(entry, "targets_per_second")

    def of_training(self, point: Point) -> Point:
        """Give a point of training with its time and speed."""
        seconds, speed = self._training.get(point.step), self._speeds.get(point.step)
        return replace(point, seconds=seconds, tokens_per_second=speed)

    def of_held_out(self, point: Point) -> Point:
        """Give the point of a validation with its time."""
        return replace(point, seconds=self._held_out.get(point.step))


def _read(path: Path, take: Callable[[Any], None], tell: Tell) -> None:
    """Hand each line of a log to `take`; where there is no log there is none."""
    taken, damaged = 0, list[int]()
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    take(json.loads(line))
                    taken += 1
                except DAMAGED:
                    damaged.append(number)
    except FileNotFoundError:
        return
    except OSError as fault:
        raise ModelError(f"cannot read {path}: {fault.strerror}") from fault
    if damaged and not taken:
        raise ModelError(f"{path}, line {damaged[0]}, is no line of a run's log")
    if damaged:
        more = f", and {len(damaged) - 1:,} more" if len(damaged) > 1 else ""
        tell(f"warning: {path}, line {damaged[0]}{more}: damaged, and left out")


def _number(entry: Any, name: str) -> float | None:  # noqa: ANN401
    """Give a number of a line; raise ValueError where it is none that can be drawn."""
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(name)
    return float(value)
