"""How many steps of a stream are learned from at a time, in the course of a run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Windows:
    """A window that grows from `first` to `last` steps, by the same factor in every tenth of a run.

    With many streams, short windows at the beginning give many updates, each from many places of
    the text; long ones at the end give exact gradients, less noise and full matrix products, as
    growing batches do (Smith et al. 2018, arXiv 1711.00489). docs/benchmarks.md has the trials.
    """

    first: int
    last: int

    def __post_init__(self) -> None:
        assert 1 <= self.first <= self.last, "a window has a step or more, and does not shrink"

    def at(self, progress: float) -> int:
        """Give the window at a progress from 0, the first step, to 1, the end of the budget."""
        grown = self.first * (self.last / self.first) ** min(max(progress, 0.0), 1.0)
        return min(self.last, int(grown + 1e-9))

    @property
    def mean(self) -> float:
        """Give the mean over a run, in steps of the optimizer."""
        return sum(self.at((k + 0.5) / 100) for k in range(100)) / 100
