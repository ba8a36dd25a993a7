"""One batch of token ids, and the place in the corpus after it.

Legend: B streams, T steps.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Batch:
    """Inputs and the targets that follow them.

    inputs, targets: (B, T) int64
    mask:   (B, T) bool, where a target is real; None where all are
    fresh:  every stream's state starts anew before this batch
    resets: (B, T) bool, where a stream's state starts anew before it reads that input; or None
    rate_factor: what the learning rate of this batch's step is multiplied by
    """

    inputs: np.ndarray
    targets: np.ndarray
    mask: np.ndarray | None = None
    fresh: bool = False
    resets: np.ndarray | None = None
    rate_factor: float = 1.0

    @property
    def num_targets(self) -> int:
        """Count the real targets."""
        return self.targets.size if self.mask is None else int(self.mask.sum())

    def split(self, pieces: int) -> list["Batch"]:
        """Cut along the streams into at most `pieces` batches of nearly equal size."""
        edges = np.linspace(0, len(self.inputs), min(pieces, len(self.inputs)) + 1).astype(int)
        return [self.rows(a, b) for a, b in pairwise(edges)]

    def rows(self, start: int, end: int) -> "Batch":
        """Take the streams from `start` on, up to `end`."""
        return Batch(
            self.inputs[start:end],
            self.targets[start:end],
            None if self.mask is None else self.mask[start:end],
            self.fresh,
            None if self.resets is None else self.resets[start:end],
            self.rate_factor,
        )


@dataclass(frozen=True)
class Position:
    """Where an endless walk over the corpus stands: what to yield next, as plain numbers."""

    epoch: int = 0
    offset: int = 0

    def to_json(self) -> dict[str, int]:
        """Turn it into what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, int]) -> Self:
        """Read it back."""
        return cls(**value)


def epoch_generator(seed: int, epoch: int) -> np.random.Generator:
    """Make the random numbers of one epoch: a pure function of seed and epoch."""
    return np.random.default_rng([seed, epoch])
