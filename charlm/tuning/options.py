"""What is asked of `charlm tune` beside the options that are the same in all trials."""

import math
from dataclasses import dataclass
from typing import Any

from charlm.language.request import TrainRequest
from charlm.options import check, option

MINUTES = 1.0
MOST_TRIALS = 100_000
OF_TRAIN_ALONE = {
    "out", "force", "resume", "save_every", "fallback", "test", "seed", "minutes", "epochs",
    "steps",
}  # fmt: skip
FIXABLE = [name for name in TrainRequest.__dataclass_fields__ if name not in OF_TRAIN_ALONE]
BUDGETS: dict[str, Any] = dict.fromkeys(("minutes", "steps", "epochs"))


@dataclass(frozen=True)
class TuneOptions:
    """The options of a search."""

    study: str | None = option(
        None,
        "directory of the study, to be shared or gone on with (default runs/tune-NAME)",
        metavar="DIR",
    )
    minutes: float | None = option(None, "time for each trial (default 1)", metavar="M")
    steps: int | None = option(None, "updates of each trial, instead of minutes")
    trials: int = option(20, "trials of the study as a whole, all processes and days together")
    seed: int = option(1, "of the search; the networks start from seed 1")
    prune: bool = option(True, "end trials early that are worse than most were by then")
    keep_models: bool = option(False, "keep the weights of all trials, not of the best alone")
    plot: bool = option(False, "draw importance and trials as PNGs in the study's directory")
    train_best: float | None = option(
        None, "then train the best for so long, with counts and all", metavar="MINUTES"
    )
    out: str | None = option(None, "directory of that run (default runs/NAME)", metavar="DIR")

    def __post_init__(self) -> None:
        given = self.minutes is not None and self.steps is not None
        check(not given, "--minutes and --steps cannot be given together")
        for name in ("minutes", "train_best"):
            value, shown = getattr(self, name), "--" + name.replace("_", "-")
            check(
                value is None or (value > 0 and value < math.inf),
                f"{shown} must be a number above 0, not {value}",
            )
        check(self.steps is None or self.steps >= 1, f"--steps must be 1 or more, not {self.steps}")
        check(
            1 <= self.trials <= MOST_TRIALS,
            f"--trials must be from 1 to {MOST_TRIALS:,}, not {self.trials}",
        )
        check(0 <= self.seed < 2**63, f"--seed must be in [0, 2^63), not {self.seed}")
        check(self.study != "", "--study must name a directory")
        check(self.out != "", "--out must name a directory")
        check(
            self.out is None or self.train_best is not None,
            "--out is where the best is trained for longer, which --train-best asks for",
            "--study names the directory of the search",
        )

    @property
    def budget(self) -> dict[str, float | int]:
        """Give the budget of a trial, as options of a run."""
        if self.steps is not None:
            return {"steps": self.steps}
        return {"minutes": MINUTES if self.minutes is None else self.minutes}
