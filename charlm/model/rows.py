"""Weights in a quarter of the room: whole numbers of eight bits, and a scale for each row.

    weight[r, c] ~ scale[r] · number[r, c],  scale[r] = max |weight[r]| / 127

Symmetric, to the nearest, ties to even: so no weight is farther off than half its row's scale. Rows
are outputs in every matrix of a network, and tokens in an embedding, so that one scale serves a
whole sum. Vectors, such as biases, stay float32. Imports no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

LARGEST = 127
INT8 = "int8"
SCALE = ".scale"  # behind a matrix's name, in a file


@dataclass(frozen=True)
class Int8Rows:
    """A matrix of weights: numbers (R, C) int8, scales (R,) float32."""

    numbers: np.ndarray
    scales: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Give the shape of the matrix."""
        return self.numbers.shape

    def __getitem__(self, rows: slice) -> "Int8Rows":
        """Take some rows."""
        return Int8Rows(self.numbers[rows], self.scales[rows])

    def dequantised(self) -> np.ndarray:
        """Give the matrix that it stands for, (R, C) float32."""
        return np.asarray(self.numbers * self.scales[:, None], dtype=np.float32)


Weight: TypeAlias = np.ndarray | Int8Rows


def quantised(matrix: np.ndarray) -> Int8Rows:
    """Give the nearest that rows of eight bits can be to a finite matrix (R, C)."""
    largest = np.abs(matrix).max(axis=1, initial=0).astype(np.float64)
    scales = (largest / LARGEST).astype(np.float32)
    dividers = np.where(scales > 0, scales, 1).astype(np.float64)
    numbers = np.rint(matrix / dividers[:, None])
    return Int8Rows(np.clip(numbers, -LARGEST, LARGEST).astype(np.int8), scales)


def quantised_weights(weights: Mapping[str, np.ndarray]) -> dict[str, Weight]:
    """Quantise the matrices among a network's weights."""
    return {
        name: quantised(weight) if weight.ndim == 2 else weight for name, weight in weights.items()
    }


def plain(weight: Weight) -> np.ndarray:
    """Give a weight as float32."""
    return weight.dequantised() if isinstance(weight, Int8Rows) else weight


def one_below(first: Weight, second: Weight) -> Weight:
    """Put the rows of two matrices below each other."""
    if isinstance(first, Int8Rows) and isinstance(second, Int8Rows):
        numbers = np.concatenate([first.numbers, second.numbers])
        return Int8Rows(numbers, np.concatenate([first.scales, second.scales]))
    return np.concatenate([plain(first), plain(second)])


def plain_weights(weights: Mapping[str, Weight]) -> dict[str, np.ndarray]:
    """Give every weight as float32."""
    return {name: plain(weight) for name, weight in weights.items()}


def as_arrays(weights: Mapping[str, Weight]) -> dict[str, np.ndarray]:
    """Give weights as the arrays of a file: NAME int8 and NAME.scale float32 for each matrix."""
    arrays: dict[str, np.ndarray] = {}
    for name, weight in weights.items():
        if isinstance(weight, Int8Rows):
            arrays |= {name: weight.numbers, name + SCALE: weight.scales}
        else:
            arrays[name] = weight
    return arrays


def from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Weight]:
    """Give back the weights that `as_arrays` took apart."""
    weights: dict[str, Weight] = {}
    for name, array in arrays.items():
        if name + SCALE in arrays:
            weights[name] = Int8Rows(array, arrays[name + SCALE])
        elif not name.endswith(SCALE):
            weights[name] = array
    return weights
