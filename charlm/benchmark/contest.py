"""charlm against the textbook loop, and its cells against PyTorch's, in turn in one process."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from charlm.benchmark.clock import alternate, median_ratio
from charlm.benchmark.ids import Ids
from charlm.benchmark.shapes import Shape
from charlm.benchmark.steps import OwnStep, textbook_step


@dataclass(frozen=True)
class Contest:
    """Tokens per second of the two, medians of several; `ratio` is the median of the rounds'."""

    name: str
    own: float
    other: float
    ratio: float


def race(
    name: str,
    own: Callable[[], object],
    other: Callable[[], object],
    tokens: int,
    rounds: int,
) -> Contest:
    """Time two ways of learning from the same number of tokens: A B A B."""
    seconds = alternate({"own": own, "other": other}, rounds)
    return Contest(
        name,
        own=tokens / statistics.median(seconds["own"]),
        other=tokens / statistics.median(seconds["other"]),
        ratio=median_ratio(seconds["other"], seconds["own"]),
    )


def race_textbook(shape: Shape, ids: Ids, rounds: int, bf16: bool) -> Contest:
    """Race charlm's training step against the textbook loop's, at the same shape and text."""
    own, textbook = OwnStep(shape, ids, bf16), textbook_step(shape, ids)
    own.warm_up()
    return race(shape.name, own, textbook.step, shape.tokens, rounds)
