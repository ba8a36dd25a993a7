"""How fast a model scores many short lines, beside one line after the other.

The lines are those of its held-out text, over again where there are few. All at once they go the
way of `charlm score`; one at a time each goes through the runtime, in NumPy and compiled.
"""

import statistics
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

import numpy as np

from charlm.benchmark.child import Task
from charlm.benchmark.clock import Seconds, alternate, median_ratio
from charlm.benchmark.players import Contestants, Facts, Player
from charlm.benchmark.typing_speed import held_out_beginning
from charlm.errors import UsageError
from charlm.evaluation.lines import score_each
from charlm.language.handle import load

LINES, QUICK_LINES = 20_000, 200  # scored at once
ONE_BY_ONE, QUICK_ONE_BY_ONE = 100, 2  # and one after the other
CHARACTERS = 200_000  # of held-out text, at most
TOGETHER, NUMPY, COMPILED = "together", "NumPy", "compiled"


@dataclass(frozen=True)
class LineScoring:
    """Tokens per second of lines scored together and one by one, medians of several.

    tokens:                  of a line, in the mean
    ratio, compiled_ratio:   together to one by one, in NumPy and compiled; None without numba
    """

    model: str
    kind: str
    tokens: float
    together: float
    one_by_one: float
    ratio: float
    compiled_ratio: float | None


def measure_line_scoring(model: str, rounds: int, quick: bool) -> LineScoring:
    """Score lines in turn, in a process of its own; raise UsageError without held-out text."""
    load(model)  # whatever is wrong with it is said here
    with Player(line_scorers, {"model": model, "quick": quick}, {}) as player:
        seconds = alternate(player.contestants, rounds)
    return speeds_of(model, player.facts, seconds)


def speeds_of(model: str, facts: Facts, seconds: Seconds) -> LineScoring:
    """Work out the speeds from what the contestants took: many tokens, and few one by one."""
    ratios = {
        way: median_ratio(seconds[way], seconds[TOGETHER]) * facts["many"] / facts["few"]
        for way in (NUMPY, COMPILED)
        if way in seconds
    }
    return LineScoring(
        model,
        facts["kind"],
        tokens=facts["many"] / facts["lines"],
        together=facts["many"] / statistics.median(seconds[TOGETHER]),
        one_by_one=facts["few"] / statistics.median(seconds[NUMPY]),
        ratio=ratios[NUMPY],
        compiled_ratio=ratios.get(COMPILED),
    )


def line_scorers(task: Task) -> tuple[Facts, Contestants]:
    """Make the contestants, each with the same lines' beginning."""
    lm = load(task["model"], predictor="network")
    number, few = (QUICK_LINES, QUICK_ONE_BY_ONE) if task["quick"] else (LINES, ONE_BY_ONE)
    text = held_out_beginning(lm, CHARACTERS)
    lines = list(islice(cycle([line for line in text.splitlines() if line.strip()]), number))
    if not lines:
        raise UsageError(f"the held-out text of {lm.directory} has no line to score")
    ids = [lm.tokenizer.encode(line) for line in lines]

    def one_by_one(compiled: bool) -> Callable[[], object]:
        runtime = lm.parts.runtime(compiled)
        return lambda: [list(score_each(runtime, [each])) for each in ids[:few]]

    contestants: dict[str, Callable[[], object]] = {
        TOGETHER: partial(lm.score_lines, lines),
        NUMPY: one_by_one(compiled=False),
    }
    with suppress(UsageError):  # without numba
        contestants[COMPILED] = one_by_one(compiled=True)
    return _facts(lm.tokenizer.kind, ids, few), contestants


def _facts(kind: str, ids: Sequence[np.ndarray], few: int) -> Facts:
    lengths = [len(each) for each in ids]
    return {"kind": kind, "lines": len(ids), "many": sum(lengths), "few": sum(lengths[:few])}
