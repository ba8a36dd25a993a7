"""The trials of a study as plain data, as tables, pictures and JSON show them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from charlm.tuning.space import Values

SMALL = 0.01
State = Literal["waiting", "running", "complete", "pruned", "failed", "again"]


@dataclass(frozen=True)
class TrialRecord:
    """One trial.

    state:   "pruned" for one that was ended early, or whose training diverged or lacked memory;
             "again" for one whose process died and that another trial repeats
    score:   of a complete trial; of a pruned one the last that it reported
    values:  what was drawn for it
    options: what it is, in the words of the command line; empty until it begins
    plan:    whether it is charlm's own plan
    repeat:  0, or the number of the repetition with another seed
    why:     it has no score
    """

    number: int
    state: State
    score: float | None = None
    values: Values = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    plan: bool = False
    repeat: int = 0
    seconds: float | None = None
    why: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        return dict(vars(self))


def shown(score: float) -> str:
    """Write a score, or a difference of two: a small one with as many figures as a large one."""
    return f"{score:.4f}" if abs(score) >= SMALL or score == 0 else f"{score:.3g}"


def completed(trials: Iterable[TrialRecord]) -> list[tuple[float, TrialRecord]]:
    """Give complete trials with their scores, the best first."""
    found = [(t.score, t) for t in trials if t.state == "complete" and t.score is not None]
    return sorted(found, key=lambda pair: (pair[0], pair[1].number))


def best_of(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Give the best complete trial; None where there is none."""
    found = completed(trials)
    return found[0][1] if found else None
