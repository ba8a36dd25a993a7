"""The scores to reach, for texts known by name."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from charlm.benchmark.ids import Kind
from charlm.benchmark.texts import TRAIN
from charlm.errors import UsageError


@dataclass(frozen=True)
class Goal:
    """A score to reach on a text.

    corpus:          its name: of its folder, or of its file without the endings
    nats:            per token, over the whole held-out text
    seconds:         that charlm's run is given
    textbook_epochs: that the textbook loop, tied, needs; None where nobody knows
    """

    corpus: str
    kind: Kind
    nats: float
    seconds: float
    textbook_epochs: int | None = None


GOALS = (
    Goal("tinyshakespeare", "char", 1.88, 5),
    Goal("tinyshakespeare", "char", 1.47, 120),
    Goal("ptb", "word", math.log(114.4), 200, textbook_epochs=6),
    Goal("wikitext-2", "word", math.log(150), 600),
)


def goals_of(path: str, nats: float | None, minutes: float | None) -> list[Goal]:
    """Find the goals of a text; `nats` and `minutes`, where given, take the place of theirs.

    Raises UsageError for a text without a goal.
    """
    file = Path(path)
    names = {file.parent.resolve().name, file.name.split(f".{TRAIN}")[0], file.stem}
    goals = [goal for goal in GOALS if goal.corpus in names]
    if nats is not None:
        kind = goals[0].kind if goals else "char"
        seconds = goals[0].seconds if goals else 120.0
        goals = [Goal(file.stem, kind, nats, seconds)]
    if not goals:
        known = ", ".join(sorted({goal.corpus for goal in GOALS}))
        raise UsageError(f"no target is known for {path}", f"pass --target X, or a text of {known}")
    if minutes is not None:
        goals = [replace(goal, seconds=60 * minutes) for goal in goals]
    return goals
