"""How many steps of a stream are learned from at a time, in the course of a run."""

from dataclasses import dataclass

import numpy as np

HALVED = 0.05  # of the windows at random are planned half as long
SPREAD = 5.0  # standard deviation of their lengths, in steps
SHORTEST = 5  # of them, where as many are planned


@dataclass(frozen=True)
class Windows:
    """A window that grows from `first` to `last` steps, by the same factor in every tenth of a run.

    With many streams, short windows at the beginning give many updates, each from many places of
    the text; long ones at the end give exact gradients, less noise and full matrix products, as
    growing batches do (Smith et al. 2018, arXiv 1711.00489). docs/benchmarks.md has the trials.

    Windows may vary at random around what is planned, so that their borders fall everywhere
    (Merity et al. 2018, arXiv 1708.02182, section 4.1).
    """

    first: int
    last: int
    random: bool = False

    def __post_init__(self) -> None:
        assert 1 <= self.first <= self.last, "a window has a step or more, and does not shrink"

    def at(self, progress: float) -> int:
        """Give the window at a progress from 0, the first step, to 1, the end of the budget."""
        grown = self.first * (self.last / self.first) ** min(max(progress, 0.0), 1.0)
        return min(self.last, int(grown + 1e-9))

    def drawn(self, progress: float, generator: np.random.Generator) -> int:
        """Draw a window: normally around the one planned, or around half of it once in twenty."""
        planned = self.at(progress)
        mean = planned / 2 if generator.random() < HALVED else planned
        return max(min(SHORTEST, planned), round(generator.normal(mean, SPREAD)))

    @property
    def mean(self) -> float:
        """Give the mean over a run, in steps of the optimizer."""
        planned = sum(self.at((k + 0.5) / 100) for k in range(100)) / 100
        return planned * (1 - HALVED / 2) if self.random else planned
