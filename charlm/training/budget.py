"""How long a run lasts, in minutes, steps or epochs, and how far it has come."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Exactly one of the three is set.

    seconds: wall-clock time of the loop with its validations
    steps:   optimizer steps
    targets: predictions to learn from (an epoch is one pass over all of them)
    """

    seconds: float | None = None
    steps: int | None = None
    targets: int | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.seconds, self.steps, self.targets) if value is not None]
        assert len(given) == 1, "a budget has exactly one unit"

    def progress(self, step: int, targets: int, seconds: float, reserve: float) -> float:
        """Say how much of the budget is used, from 0 to 1, before a step is taken.

        `reserve` is the time in seconds to keep free at the end for the last validation.
        """
        if self.seconds is not None:
            return min(1.0, seconds / max(self.seconds - reserve, 1e-9))
        if self.steps is not None:
            return min(1.0, step / max(self.steps, 1))
        assert self.targets is not None
        return min(1.0, targets / max(self.targets, 1))
