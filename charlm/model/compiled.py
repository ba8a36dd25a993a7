"""The walks of `charlm.model.walks`, each step one compiled function (`charlm.model.kernels`).

What PyTorch does in three to nine operations, each of which reads and writes all its numbers, is
here done in one: gates and slopes live in registers, and only what is needed later is written.
Gates, states and gradients stay in the type of the products; what is carried is float32.
Legend: B streams, T steps, H hidden units, G gates.
"""

import ctypes
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numba import cfunc, types
from torch import Tensor

from charlm.model import bits, kernels
from charlm.model.walks import Walk

FEWEST_NUMBERS = 4096  # B·H, from which it pays to wake a second thread

Kernel = Callable[[object], None]  # one of `charlm.model.kernels`, as it is written


class LstmCompiled:
    """As `LstmWalk`."""

    def __init__(
        self, gates: Tensor, states: Tensor, before: Tensor, memory: Tensor | None
    ) -> None:
        assert memory is not None
        self._gates, self._memory = gates, memory
        self._forward = Call(kernels.lstm_forward, before.shape, gates, memory, states)
        self.of_memory: Tensor | None = torch.zeros_like(memory[0])

    def forward(self, step: int, product: Tensor) -> None:
        """Fill states[step + 1] and memory[step + 1]; gates become i, f, n and o."""
        self._forward(step, product)

    def prepare_backward(self, received: Tensor) -> tuple[Tensor, Tensor]:
        """Make room."""
        assert self.of_memory is not None
        gates, of_sums = self._gates, torch.empty_like(self._gates)
        given = received.to(gates.dtype).contiguous()
        arrays = gates, self._memory, given, self.of_memory, of_sums
        self._backward = Call(kernels.lstm_backward, self.of_memory.shape, *arrays)
        return of_sums, of_sums

    def backward(self, step: int, product: Tensor) -> None:
        """Fill the step's gradients and pass on the memory's."""
        self._backward(step, product)

    def finish_backward(self, product: Tensor) -> Tensor:
        """Nothing is left."""
        return product.float()


class GruCompiled:
    """As `GruWalk`."""

    of_memory: Tensor | None = None

    def __init__(
        self, gates: Tensor, states: Tensor, before: Tensor, memory: Tensor | None
    ) -> None:
        self._gates, self._states = gates, states
        self._inner = gates.new_empty(len(gates), *before.shape)
        state = before.clone(memory_format=torch.contiguous_format)
        self._forward = Call(kernels.gru_forward, state.shape, gates, self._inner, state, states)

    def forward(self, step: int, product: Tensor) -> None:
        """Fill states[step + 1]; gates become r, z and n."""
        self._forward(step, product)

    def prepare_backward(self, received: Tensor) -> tuple[Tensor, Tensor]:
        """Make room."""
        gates = self._gates
        of_inputs, of_product = torch.empty_like(gates), torch.empty_like(gates)
        given = received.to(gates.dtype).contiguous()
        self._direct = torch.zeros(self._states.shape[1:], dtype=torch.float32)
        arrays = gates, self._inner, self._states, given, self._direct, of_inputs, of_product
        self._backward = Call(kernels.gru_backward, self._direct.shape, *arrays)
        return of_inputs, of_product

    def backward(self, step: int, product: Tensor) -> None:
        """Fill the step's gradients; keep what goes straight to the state before."""
        self._backward(step, product)

    def finish_backward(self, product: Tensor) -> Tensor:
        """Add the two ways to the state before."""
        return self._direct + product


class RnnCompiled:
    """As `RnnWalk`."""

    of_memory: Tensor | None = None

    def __init__(
        self, gates: Tensor, states: Tensor, before: Tensor, memory: Tensor | None
    ) -> None:
        self._gates, self._states = gates, states
        self._forward = Call(kernels.rnn_forward, before.shape, gates, states)

    def forward(self, step: int, product: Tensor) -> None:
        """Fill states[step + 1]."""
        self._forward(step, product)

    def prepare_backward(self, received: Tensor) -> tuple[Tensor, Tensor]:
        """Make room: in place of the inputs' part, which is needed no more."""
        of_sums = self._gates
        given = received.to(of_sums.dtype).contiguous()
        self._backward = Call(kernels.rnn_backward, of_sums.shape[1:], self._states, given, of_sums)
        return of_sums, of_sums

    def backward(self, step: int, product: Tensor) -> None:
        """Fill the step's gradients."""
        self._backward(step, product)

    def finish_backward(self, product: Tensor) -> Tensor:
        """Nothing is left."""
        return product.float()


class Call:
    """A kernel with its arrays, to be called for one step after the other.

    shape: (B, H). Of the arrays the first is in the type of the products.
    """

    def __init__(self, kernel: Kernel, shape: torch.Size, *arrays: Tensor) -> None:
        if not all(array.is_contiguous() for array in arrays):  # also where asserts are left out
            raise AssertionError("a kernel reads memory as it lies")
        streams, units = shape
        half = arrays[0].dtype == torch.bfloat16
        addresses = [array.data_ptr() for array in arrays]
        self._data = np.zeros(kernels.A + len(arrays), dtype=np.int64)
        self._data[kernels.STREAMS :] = [streams, units, half, 0, 0, *addresses]
        self._arrays = arrays  # kept from being freed
        threads = torch.get_num_threads() if shape.numel() >= FEWEST_NUMBERS else 1
        self._run = runner(compiled(kernel), self._data.ctypes.data, threads)

    def __call__(self, step: int, product: Tensor) -> None:
        """Take one step."""
        data = self._data
        data[kernels.TICKET] = 0
        data[kernels.STEP] = step
        data[kernels.PRODUCT] = product.data_ptr()
        self._run()


@cache
def compiled(kernel: Kernel) -> Any:  # noqa: ANN401
    """Compile a kernel, or find it compiled by an earlier process."""
    signature = types.void(bits.DATA)
    try:
        return cfunc(signature, cache=True)(kernel)
    except Exception:  # no place to keep it, a full disk, a torn file: it can do without
        return cfunc(signature)(kernel)


def runner(function: Any, data: int, threads: int) -> Callable[[], None]:  # noqa: ANN401
    """Give what runs a compiled function on the data at an address, with so many threads."""
    parallel = pool()
    if threads == 1 or parallel is None:
        return partial(function.ctypes, ctypes.cast(data, ctypes.POINTER(ctypes.c_int64)))
    return partial(parallel, function.address, data, threads, 0)


@cache
def pool() -> Callable[[int, int, int, int], None] | None:
    """Give GNU OpenMP's GOMP_parallel(function, data, threads, flags), as PyTorch brings it.

    Threads of another pool would have to wait for those, which for a while keep their cores busy
    waiting for the next product. None where PyTorch brings none.
    """
    folder = Path(torch.__file__).parent / "lib"
    for path in sorted(folder.glob("libgomp*.so*")):
        parallel = ctypes.CDLL(str(path)).GOMP_parallel
        parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        parallel.restype = None
        return parallel
    return None


COMPILED_WALKS: dict[str, type[Walk]] = {
    "lstm": LstmCompiled,
    "gru": GruCompiled,
    "tanh": RnnCompiled,
}
