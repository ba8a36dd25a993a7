"""How the training loop behaves."""

from dataclasses import dataclass

from charlm.options import check, option
from charlm.training.schedules import SCHEDULES


@dataclass(frozen=True)
class LoopOptions:
    """How the loop behaves; what the optimizer does is in `OptimizerOptions`."""

    schedule: str = option("linear", "course of the learning rate: linear (to zero) or constant")
    warmup: float = option(0.02, "share of the run over which the rate rises")
    accumulate: int = option(1, "slices a batch is cut into, to save memory; the result is equal")
    validate_every: float = option(0.1, "share of the run between two validations")
    patience: int = option(0, "stop after N validations without gain; 0 never stops")
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

    def save_is_due(self, step: int, scheduled_step: int, seconds: float) -> bool:
        """Tell whether to save after `step`; anything was saved last `seconds` ago.

        In steps, that is when a multiple of them has come since the last save of the regular
        course: also where none could be saved at the multiple itself, and wherever an interruption
        saved.
        """
        if self.save_steps is not None:
            return step // self.save_steps > scheduled_step // self.save_steps
        return self.save_seconds is not None and seconds >= self.save_seconds
