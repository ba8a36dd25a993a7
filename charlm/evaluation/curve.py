"""The learning curve of a run, read from its metrics.jsonl; docs/formats.md says what is in it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm.errors import ModelError

METRICS = "metrics.jsonl"

Point = tuple[int, float]


@dataclass(frozen=True)
class LearningCurve:
    """Mean nats per token against the tokens learned from until then, one or more.

    training: over the tokens since the point before, with dropout, as they were learned from
    held_out: of each validation
    """

    training: tuple[Point, ...]
    held_out: tuple[Point, ...]


def read_learning_curve(run: Path) -> LearningCurve | None:
    """Read the curve of a run directory; None where there is no log, or no point in it yet.

    A last line without its end is left out: the run may still be writing it. What a run forgot
    when it went back to a checkpoint is no part of its curve.

    Raises ModelError for a log that cannot be read or is none.
    """
    path = run / METRICS
    try:
        with path.open("rb") as stream:
            return _curve(stream, path)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise ModelError(f"cannot read {path}: {fault.strerror}") from fault


def _curve(lines: Iterable[bytes], path: Path) -> LearningCurve | None:
    training: dict[int, Point] = {}  # by step
    held_out: dict[int, Point] = {}
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            break
        try:
            _take(json.loads(line), training, held_out)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ModelError(f"{path}, line {number}, is no line of a run's log") from None
    if not training and not held_out:
        return None
    return LearningCurve(tuple(training.values()), tuple(held_out.values()))


def _take(entry: Any, training: dict[int, Point], held_out: dict[int, Point]) -> None:  # noqa: ANN401
    """Add the points of a line, or take back those that it says were forgotten."""
    last = entry.get("rolled_back_to")
    for name, points in (("nats", training), ("validation_nats", held_out)):
        if last is not None:
            for step in [step for step in points if step > last]:
                del points[step]
        if entry.get(name) is not None:  # None: it was not finite
            point = int(entry["targets"]), float(entry[name])
            if point[0] > 0:
                points[int(entry["step"])] = point
