"""How the training loop behaves."""

import re
from dataclasses import dataclass

from charlm.options import check, option
from charlm.training.schedules import SCHEDULES, in_steps

TRIGGERED, NEVER = "triggered", "none"
LEAST = 1e-6  # share of a run between two falls of the rate
SHARE = r"(0?\.\d+|1(\.0*)?)([eE]-\d+)?"


@dataclass(frozen=True)
class LoopOptions:
    """How the loop behaves; what the optimizer does is in `OptimizerOptions`."""

    schedule: str = option(
        "linear", "course of the learning rate: linear (to zero), constant, step"
    )
    warmup: float = option(0.02, "share of the run over which the rate rises")
    accumulate: int = option(1, "slices a batch is cut into, to save memory; the result is equal")
    validate_every: float = option(0.1, "share of the run between two validations")
    patience: int = option(0, "stop after N validations without gain; 0 never stops")
    average: str = option(NEVER, "share of the run, or triggered: whose weights are averaged")
    lr_step_from: float = option(0.6, "share of the run after which the rate falls first")
    lr_step_every: float = option(0.2, "share of the run between two falls")
    lr_step_factor: float = option(0.1, "what the rate falls to, as a share")
    save_steps: int | None = option(None, "steps between two checkpoints")
    save_seconds: float | None = option(None, "seconds between two checkpoints")
    seed: int = option(1, "of generators that must begin anew")

    def __post_init__(self) -> None:
        known = ", ".join(SCHEDULES)
        check(self.schedule in SCHEDULES, f"--schedule must be one of {known}")
        check(0 <= self.warmup < 1, "--warmup must be at least 0 and below 1")
        check(self.accumulate >= 1, "--accumulate must be 1 or more")
        check(0 < self.validate_every <= 1, "--validate-every must be above 0 and at most 1")
        check(self.patience >= 0, "--patience must be 0 or more")
        check(0 <= self.lr_step_from <= 1, "--lr-step-from must be in [0, 1]")
        check(LEAST <= self.lr_step_every <= 1, f"--lr-step-every must be {LEAST:g} to 1")
        check(0 < self.lr_step_factor <= 1, "--lr-step-factor must be above 0 and at most 1")
        check(
            self.average in (TRIGGERED, NEVER) or _is_share(self.average),
            f"--average must be a share of the run above 0, triggered, or none, not "
            f"'{self.average}'",
            "such as --average 0.15, over the last 15 %",
        )

    def rate_factor(self, progress: float) -> float:
        """Give the factor on the peak rate at a progress from 0 to 1."""
        if self.schedule == "step":
            steps = self.lr_step_from, self.lr_step_every, self.lr_step_factor
            return in_steps(progress, self.warmup, *steps)
        return SCHEDULES[self.schedule](progress, self.warmup)

    @property
    def averages(self) -> bool:
        """Tell whether weights are averaged, now or later."""
        return self.average != NEVER

    @property
    def average_from(self) -> float | None:
        """Give the progress from which weights are averaged, where it is known beforehand."""
        return 1.0 - float(self.average) if _is_share(self.average) else None

    def save_is_due(self, step: int, scheduled_step: int, seconds: float) -> bool:
        """Tell whether to save after `step`; anything was saved last `seconds` ago.

        In steps, that is when a multiple of them has come since the last save of the regular
        course: also where none could be saved at the multiple itself, and wherever an interruption
        saved.
        """
        if self.save_steps is not None:
            return step // self.save_steps > scheduled_step // self.save_steps
        return self.save_seconds is not None and seconds >= self.save_seconds


def _is_share(text: str) -> bool:
    return re.fullmatch(SHARE, text) is not None and 0 < float(text) <= 1
