"""What is asked of a search, beside the options that are the same in all its trials."""

import math
from dataclasses import dataclass
from typing import Any

from charlm.language.request import TrainRequest
from charlm.options import check, option
from charlm.series.request import SeriesRequest

MINUTES = 1.0
MOST_TRIALS = 100_000
OF_TRAIN_ALONE = {
    "out", "force", "resume", "save_every", "fallback", "test", "seed", "minutes", "epochs",
    "steps",
}  # fmt: skip
FIXABLE = [name for name in TrainRequest.__dataclass_fields__ if name not in OF_TRAIN_ALONE]
OF_SERIES_TRAIN_ALONE = OF_TRAIN_ALONE - {"test"}
SERIES_FIXABLE = [
    name for name in SeriesRequest.__dataclass_fields__ if name not in OF_SERIES_TRAIN_ALONE
]
BUDGETS: dict[str, Any] = dict.fromkeys(("minutes", "steps", "epochs"))


@dataclass(frozen=True)
class SearchOptions:
    """The options of any search."""

    study: str | None = option(
        None,
        "directory of the study, to be shared or gone on with (default runs/tune-NAME)",
        metavar="DIR",
    )
    minutes: float | None = option(None, "time for each trial", metavar="M")
    steps: int | None = option(None, "updates of each trial, instead of minutes")
    trials: int = option(20, "trials of the study as a whole, all processes and days together")
    seed: int = option(1, "of the search; the networks start from seed 1")
    prune: bool = option(True, "end trials early that are worse than most were by then")
    keep_models: bool = option(False, "keep the weights of all trials, not of the best alone")
    plot: bool = option(False, "draw importance and trials as PNGs in the study's directory")
    out: str | None = option(
        None, "directory of the run of --train-best (default runs/NAME)", metavar="DIR"
    )

    def __post_init__(self) -> None:
        given = self.minutes is not None and self.steps is not None
        check(not given, "--minutes and --steps cannot be given together")
        self._check_minutes("minutes")
        check(self.steps is None or self.steps >= 1, f"--steps must be 1 or more, not {self.steps}")
        check(
            1 <= self.trials <= MOST_TRIALS,
            f"--trials must be from 1 to {MOST_TRIALS:,}, not {self.trials}",
        )
        check(0 <= self.seed < 2**63, f"--seed must be in [0, 2^63), not {self.seed}")
        check(self.study != "", "--study must name a directory")
        check(self.out != "", "--out must name a directory")
        check(
            self.out is None or self.trains_best,
            "--out is where the best is trained once more, which --train-best asks for",
            "--study names the directory of the search",
        )

    def _check_minutes(self, name: str) -> None:
        value, shown = getattr(self, name), "--" + name.replace("_", "-")
        check(
            value is None or (value > 0 and value < math.inf),
            f"{shown} must be a number above 0, not {value}",
        )

    @property
    def trains_best(self) -> bool:
        """Tell whether the best is trained once more in the end."""
        return False

    @property
    def best_minutes(self) -> float | None:
        """Give how long; None for the budget of a trial."""
        return None

    @property
    def budget(self) -> dict[str, float | int]:
        """Give the budget of a trial, as options of a run."""
        both = {"steps": self.steps, "minutes": self.minutes}
        return {name: value for name, value in both.items() if value is not None}


@dataclass(frozen=True)
class TuneOptions(SearchOptions):
    """The options of a search for a language model."""

    minutes: float | None = option(None, "time for each trial (default 1)", metavar="M")
    train_best: float | None = option(
        None, "then train the best for so long, with counts and all", metavar="MINUTES"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_minutes("train_best")

    @property
    def trains_best(self) -> bool:
        """Tell whether the best is trained once more in the end."""
        return self.train_best is not None

    @property
    def best_minutes(self) -> float | None:
        """Give how long."""
        return self.train_best

    @property
    def budget(self) -> dict[str, float | int]:
        """Give the budget of a trial, as options of a run."""
        return super().budget or {"minutes": MINUTES}


@dataclass(frozen=True)
class SeriesTuneOptions(SearchOptions):
    """The options of a search for a model of a series."""

    steps: int | None = option(
        None, "updates of each trial (default: as many as series train would do)"
    )
    minutes: float | None = option(None, "time for each trial, instead of steps", metavar="M")
    train_best: bool = option(
        False, "then train the best once more, and judge it on the rows kept back"
    )

    @property
    def trains_best(self) -> bool:
        """Tell whether the best is trained once more in the end."""
        return self.train_best
