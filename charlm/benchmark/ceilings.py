"""What the machine can do at best: multiply large matrices, and stream through memory."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from charlm.benchmark.clock import alternate

SIDE, QUICK_SIDE = 2048, 256  # of the square matrices
NUMBERS, QUICK_NUMBERS = 1 << 24, 1 << 18  # in each vector streamed: more than any cache holds
STREAMED = 3  # numbers that move for each sum: two are read and one is written


@dataclass(frozen=True)
class Ceilings:
    """Speeds that nothing built of matrix products can exceed; None where the machine has none.

    matrix_fp32, matrix_bf16: FLOP/s of a product of two large square matrices
    bandwidth:                bytes/s of c = a + 2 b over long float32 vectors (McCalpin's triad)
    """

    matrix_fp32: float
    matrix_bf16: float | None
    bandwidth: float


class MatrixProduct:
    """A large product of square matrices, to be timed: calling it multiplies once."""

    def __init__(self, side: int, kind: torch.dtype) -> None:
        self.flops = 2 * side**3
        self._left, self._right = (torch.randn(side, side).to(kind) for _ in range(2))
        self._product = torch.empty(side, side, dtype=kind)

    def __call__(self) -> Tensor:
        """Multiply; the memory of the result is used again each time."""
        return torch.mm(self._left, self._right, out=self._product)


class Reading:
    """Reading float32 numbers in a row, to be timed: calling it reads all of them once.

    Where they are no more than a cache holds, they come from that cache from the second time on,
    as the weights of a network do that is asked again and again.
    """

    def __init__(self, numbers: int) -> None:
        self.bytes = 4 * numbers
        self._numbers = torch.ones(numbers)

    def __call__(self) -> Tensor:
        """Read: a sum needs each number once, and little else."""
        return self._numbers.sum()


def ceiling_product(bf16: bool, quick: bool) -> MatrixProduct:
    """Make the product whose speed is the ceiling of the number format in use."""
    return MatrixProduct(QUICK_SIDE if quick else SIDE, torch.bfloat16 if bf16 else torch.float32)


def measure_ceilings(rounds: int, bf16: bool, quick: bool) -> Ceilings:
    """Measure all ceilings in turn; medians of `rounds`."""
    single = ceiling_product(False, quick)
    numbers = QUICK_NUMBERS if quick else NUMBERS
    a, b, c = torch.ones(numbers), torch.ones(numbers), torch.empty(numbers)
    contestants: dict[str, Callable[[], object]] = {
        "fp32": single,
        "stream": lambda: torch.add(a, b, alpha=2, out=c),
    }
    if bf16:
        contestants["bf16"] = ceiling_product(True, quick)
    seconds = {name: statistics.median(s) for name, s in alternate(contestants, rounds).items()}
    return Ceilings(
        matrix_fp32=single.flops / seconds["fp32"],
        matrix_bf16=single.flops / seconds["bf16"] if bf16 else None,
        bandwidth=STREAMED * a.element_size() * numbers / seconds["stream"],
    )
