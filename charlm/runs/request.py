"""What is asked of any training run: where it goes, how long it lasts, whether it goes on."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from charlm.options import check, option
from charlm.sinks.names import names_in

SAVE_SECONDS = 60.0
MAX_MINUTES = 1_000_000
BUDGETS = ("minutes", "epochs", "steps")
OF_NO_ACCOUNT = frozenset({"out", "force", "resume", "fallback", "save_every", "log_to"})
KEPT = ("save_every", "log_to")  # of these, what was asked before, unless it is asked anew


@dataclass(frozen=True)
class RunRequest:
    """Options that all kinds of runs share; each kind adds its own.

    KIND:       what the run learns, as its record says it
    CHANGEABLE: the options that may be given anew when a run is resumed
    BEFORE:     what was so in records from before it was a choice
    """

    KIND: ClassVar[str]
    CHANGEABLE: ClassVar[frozenset[str]]
    BEFORE: ClassVar[Mapping[str, Any]] = {}

    out: str | None = option(None, "directory of the run (default runs/NAME)", metavar="DIR")
    force: bool = option(False, "replace the run that is already there")
    resume: bool = option(False, "go on with a run that was interrupted")
    save_every: str | None = option(
        None, "steps (200) or seconds (30s) between two checkpoints (default 60s)", metavar="N|Ns"
    )
    log_to: str | None = option(
        None,
        "where the logs go besides: tensorboard, trackio, wandb, several with commas, or none",
        metavar="NAME,...",
    )
    fallback: bool = option(True, "resume from an older checkpoint if the newest is damaged")

    minutes: float | None = option(None, "time for the training loop (default 2)", metavar="M")
    epochs: float | None = option(None, "passes over the training text, instead of minutes")
    steps: int | None = option(None, "updates, instead of minutes")

    def __post_init__(self) -> None:
        given = [name for name in BUDGETS if getattr(self, name) is not None]
        check(len(given) <= 1, f"--{' and --'.join(given)} cannot be given together")
        self.check_positive(*BUDGETS)
        most = MAX_MINUTES
        check(self.minutes is None or self.minutes <= most, f"--minutes must be at most {most:,}")
        check(
            self.save_every is None or re.fullmatch(r"0*[1-9]\d*s?", self.save_every) is not None,
            f"--save-every must be a number of steps, or of seconds with an s, not "
            f"'{self.save_every}'",
            "such as --save-every 200 or --save-every 30s",
        )
        names_in(self.log_to)
        check(self.out != "", "--out must name a directory")
        check(not (self.force and self.resume), "--force and --resume cannot be given together")

    def check_positive(self, *names: str) -> None:
        """Raise UsageError unless each of these, where it is given, is finite and above 0."""
        for name in names:
            value, shown = getattr(self, name), "--" + name.replace("_", "-")
            check(value is None or value > 0, f"{shown} must be above 0, not {value}")
            check(value is None or value < math.inf, f"{shown} must be a finite number")

    def check_counts(self, largest: Mapping[str, int]) -> None:
        """Raise UsageError unless each of these, where it is given, is from 1 to the number."""
        for name, most in largest.items():
            value, shown = getattr(self, name), "--" + name.replace("_", "-")
            check(value is None or value >= 1, f"{shown} must be 1 or more, not {value}")
            check(value is None or value <= most, f"{shown} must be at most {most:,}")

    @property
    def sinks(self) -> tuple[str, ...]:
        """Give the names of the sinks that the logs go to besides."""
        return names_in(self.log_to)

    @property
    def save_steps(self) -> int | None:
        """Give the steps between two checkpoints, where they are counted in steps."""
        every = self.save_every
        return None if every is None or every.endswith("s") else int(every)

    @property
    def save_seconds(self) -> float | None:
        """Give the seconds between two checkpoints, where they are not counted in steps."""
        if self.save_steps is not None:
            return None
        return SAVE_SECONDS if self.save_every is None else float(self.save_every[:-1])
