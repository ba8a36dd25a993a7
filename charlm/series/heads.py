"""What a series network says of the next value: a point, a normal distribution, or quantiles.

Legend: C columns, K numbers for each, Q levels. All in scaled units.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# of the quantile head; between them, and beyond, quantiles follow the normal one's course
LEVELS = (0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975)
MIDDLE = LEVELS.index(0.5)
LEAST_SCALE = 1e-4  # of a normal distribution, so that a series without noise has a likelihood
FIRST_SPREAD = -1.0  # of what is below softplus, for all distances, before anything is learned


class Head(Protocol):
    """Turns the K numbers of each column into a prediction.

    unit:     of the loss
    points:   whether it says nothing but a point
    """

    unit: str
    outputs: int
    points: bool

    def first_biases(self) -> list[float]:
        """Give the K biases to begin with."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give the loss of each target, (..., C), after outputs (..., C, K)."""

    def point(self, outputs: np.ndarray) -> np.ndarray:
        """Give the best single guess, (..., C), of outputs (..., C, K)."""

    def quantiles(self, outputs: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Give quantiles (..., C), of levels that broadcast to that; equal for heads of points."""


class PointHead:
    """One number, judged by its squared or its absolute error."""

    outputs = 1
    points = True

    def __init__(self, squared: bool) -> None:
        self.squared = squared
        self.unit = "squared error" if squared else "absolute error"

    def first_biases(self) -> list[float]:
        """Give the biases to begin with."""
        return [0.0]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give the error of each target."""
        errors = outputs[..., 0] - targets
        return errors.square() if self.squared else errors.abs()

    def point(self, outputs: np.ndarray) -> np.ndarray:
        """Give the number."""
        return outputs[..., 0]

    def quantiles(self, outputs: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Give the number, whatever the level."""
        return np.broadcast_to(outputs[..., 0], np.broadcast(outputs[..., 0], levels).shape)


class NormalHead:
    """Mean and standard deviation of a normal distribution, judged in nats (Nix & Weigend 1994)."""

    unit = "nats"
    outputs = 2
    points = False

    def first_biases(self) -> list[float]:
        """Give the biases to begin with."""
        return [0.0, FIRST_SPREAD]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give the nats of each target's density."""
        scale = functional.softplus(outputs[..., 1]) + LEAST_SCALE
        errors = (targets - outputs[..., 0]) / scale
        return 0.5 * errors.square() + scale.log() + 0.5 * float(np.log(2 * np.pi))

    def point(self, outputs: np.ndarray) -> np.ndarray:
        """Give the mean."""
        return outputs[..., 0]

    def quantiles(self, outputs: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Give the quantiles of the normal distribution."""
        scale = np.logaddexp(0.0, outputs[..., 1]) + LEAST_SCALE
        found: np.ndarray = outputs[..., 0] + scale * probit(levels)
        return found


class QuantileHead:
    """Quantiles of LEVELS, which cannot cross: the median, and distances away from it.

    Judged by twice the mean of their pinball losses (Koenker & Bassett 1978), which is near the
    continuous ranked probability score (Gneiting & Raftery 2007).
    """

    unit = "CRPS"
    outputs = len(LEVELS)
    points = False

    def first_biases(self) -> list[float]:
        """Give the biases to begin with."""
        return [0.0 if level == MIDDLE else FIRST_SPREAD for level in range(self.outputs)]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give the mean loss of the quantiles for each target."""
        errors = targets[..., None] - self.known(outputs)
        levels = errors.new_tensor(LEVELS)
        return 2 * torch.maximum(levels * errors, (levels - 1) * errors).mean(dim=-1)

    def known(self, outputs: Tensor) -> Tensor:
        """Give the quantiles of LEVELS, (..., C, Q), of outputs (..., C, Q)."""
        distances = functional.softplus(outputs)
        above = distances[..., MIDDLE + 1 :].cumsum(dim=-1)
        below = distances[..., :MIDDLE].flip(-1).cumsum(dim=-1).flip(-1)
        middle = outputs[..., MIDDLE, None]
        return torch.cat([middle - below, middle, middle + above], dim=-1)

    def point(self, outputs: np.ndarray) -> np.ndarray:
        """Give the median."""
        return outputs[..., MIDDLE]

    def quantiles(self, outputs: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Give quantiles between and beyond those of the head, as straight lines over probits."""
        known = self.known(torch.from_numpy(outputs)).numpy()
        places, asked = probit(np.array(LEVELS)), probit(levels)
        shape = np.broadcast(outputs[..., 0], asked).shape
        asked = np.broadcast_to(asked, shape)
        known = np.broadcast_to(known, (*shape, len(LEVELS)))
        left = np.clip(np.searchsorted(places, asked) - 1, 0, len(LEVELS) - 2)
        low = np.take_along_axis(known, left[..., None], axis=-1)[..., 0]
        high = np.take_along_axis(known, left[..., None] + 1, axis=-1)[..., 0]
        share = (asked - places[left]) / (places[left + 1] - places[left])
        found: np.ndarray = low + share * (high - low)
        return found


HEADS: dict[str, Head] = {
    "squared": PointHead(squared=True),
    "absolute": PointHead(squared=False),
    "gaussian": NormalHead(),
    "quantiles": QuantileHead(),
}


def probit(levels: np.ndarray) -> np.ndarray:
    """Give the normal distribution's quantiles."""
    found: np.ndarray = torch.special.ndtri(torch.from_numpy(np.asarray(levels, float))).numpy()
    return found
