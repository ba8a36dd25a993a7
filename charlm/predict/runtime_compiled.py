"""The compiled way of `charlm.predict.runtime`: weights as its kernels take them, and their calls.

It needs numba, the extra `fast`. Legend: S streams, E size of the outputs, V vocabulary, M numbers
of a stream's state.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numba import types

from charlm.model.rows import Int8Rows, Weight, plain
from charlm.model.shape import NetworkConfig
from charlm.predict import runtime_kernels as kernels
from charlm.predict import runtime_many as many
from charlm.predict.compiling import compile_for
from charlm.predict.drawing import COLDEST, Only, draw_simply
from charlm.predict.panels import panels
from charlm.predict.runtime_cells import Layer, arranged
from charlm.predict.sharing import share
from charlm.predict.vectors import LANES
from charlm.predict.vectors import ROWS as AT_ONCE

EXPONENTIAL = 16  # operations
CELLS = {"lstm": kernels.LSTM, "gru": kernels.GRU}


class CompiledSteps:
    """The layers of a network: reads one id in each stream, up to `few` of them one by one.

    table: as `charlm.predict.runtime_kernels.read` takes it, and whether it is `tabulated`
    """

    def __init__(
        self,
        config: NetworkConfig,
        weights: Mapping[str, Weight],
        layers: Sequence[Layer],
        table: np.ndarray,
        tabulated: bool,
        few: int,
    ) -> None:
        matrices, biases, places = _Matrices(), _Vectors(), np.zeros((len(layers), 10), int)
        for number, layer in enumerate(layers):
            prefix, row = f"stack.layers.{number}.weight_", places[number]
            row[kernels.INPUTS], row[kernels.UNITS] = layer.size, layer.units
            for name, at, scale in (
                ("ih", kernels.OF_INPUTS, kernels.INPUT_SCALES),
                ("hh", kernels.OF_STATE, kernels.STATE_SCALES),
            ):
                row[at], row[scale] = matrices.add(arranged(weights[prefix + name], config.cell))
            row[kernels.BIASES] = biases.add(layer.bias)
            row[kernels.CANDIDATE_BIASES] = biases.add(layer.candidate_bias)
            row[kernels.H], row[kernels.C] = layer.h.start, layer.c.start
        cell = CELLS.get(config.cell)
        if cell is None:
            cell = kernels.RELU if config.nonlinearity == "relu" else kernels.TANH
        numbers, scales = matrices.whole()
        first, last = (table, tabulated, cell), biases.whole()
        self._one: tuple[Any, ...] = (*first, places, numbers, scales, last)
        self._many: tuple[Any, ...] = (*first, *_laid_out(layers, places), last)
        self._few, self._weights = few, len(numbers)
        self._read = compiled("read", numbers.dtype == np.int8)

    def read(self, ids: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """Read ids (S,): from states before (S, M) to states after, which are filled.

        Raises IndexError for what is no id: it would be looked up anywhere in memory.
        """
        ids = np.ascontiguousarray(ids, np.int64)
        read, arguments = self._read, self._one
        if len(ids) > self._few:
            read, arguments = compiled("read_many", False), self._many

        def some(own: slice) -> None:
            if not read(ids[own], before[own], after[own], *arguments):
                raise IndexError(f"one of {ids} is no id")

        share(len(ids), some, self._weights)


class CompiledRows:
    """A matrix (R, E) and biases (R,): multiplies vectors, up to `few` of them one by one."""

    def __init__(self, weight: Weight, biases: np.ndarray, few: int) -> None:
        matrices = _Matrices()
        matrices.add(weight)
        self._few, self._biases = few, np.ascontiguousarray(biases, np.float32)
        self._one, self._many = matrices.whole(), panels(plain(weight))
        self._rows_of = compiled("rows_of", isinstance(weight, Int8Rows))

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Multiply vectors (S, E), (S, R)."""
        sums = np.empty((len(vectors), len(self._biases)), dtype=np.float32)
        vectors = np.ascontiguousarray(vectors)
        if len(vectors) <= self._few:
            self._rows_of(vectors, *self._one, self._biases, sums)
            return sums
        rows_of = compiled("rows_of_many", False)

        def some(own: slice) -> None:
            rows_of(vectors[own], self._many, self._biases, sums[own])

        share(len(sums), some, len(self._many))
        return sums


def draw_compiled(logits: np.ndarray, alone: Only, noise: np.ndarray) -> np.ndarray:
    """Do what `draw_simply` does: by a temperature alone in one call."""
    temperature, k = alone
    if temperature < COLDEST or k or logits.dtype != np.float32:
        return draw_simply(logits, alone, noise)
    ids, noise = np.empty(len(logits), dtype=np.int64), np.asarray(noise, dtype=np.float64)
    drawn = compiled("drawn", False)

    def some(own: slice) -> None:
        drawn(logits[own], 1 / temperature, noise[own], ids[own])

    share(len(ids), some, EXPONENTIAL * logits.shape[1])
    return ids


def softmax_compiled(logits: np.ndarray) -> np.ndarray:
    """Give p of every id by logits (S, V)."""
    shares = np.empty(logits.shape, dtype=np.float32)
    compiled("softmax", False)(logits, shares)
    return shares


def log_totals_compiled(logits: np.ndarray) -> np.ndarray:
    """Give the log of the sum of e^logits (S, V) of each stream, (S, 1)."""
    totals = np.empty((len(logits), 1), dtype=np.float32)
    compiled("log_totals", False)(logits, totals)
    return totals


@cache
def compiled(name: str, int8: bool) -> Callable[..., Any]:
    """Compile a kernel for weights in float32 or in int8, once."""
    function: Any = getattr(many if name in MANY else kernels, name)
    signature = SIGNATURES[name](types.int8 if int8 else FLOAT)
    options = many.OPTIONS if name in MANY else kernels.OPTIONS
    return compile_for(function, signature, options)


FLOAT = types.float32
LINE, ROWS = FLOAT[::1], FLOAT[:, ::1]
GIVEN = types.Array(types.int64, 1, "C", readonly=True)  # may not be ours to write to
STATES = types.Array(FLOAT, 2, "C", readonly=True)
NOISE = types.Array(types.float64, 1, "C", readonly=True)
SIGNATURES: dict[str, Callable[[Any], Any]] = {
    "read": lambda kind: types.boolean(
        GIVEN,
        STATES,
        ROWS,
        ROWS,
        types.boolean,
        types.int64,
        types.int64[:, ::1],
        kind[::1],
        LINE,
        LINE,
    ),
    "read_many": lambda kind: types.boolean(
        GIVEN, STATES, ROWS, ROWS, types.boolean, types.int64, types.int64[:, ::1], LINE, LINE
    ),
    "rows_of_many": lambda kind: types.void(STATES, LINE, LINE, ROWS),
    "rows_of": lambda kind: types.void(STATES, kind[::1], LINE, LINE, ROWS),
    "log_totals": lambda kind: types.void(STATES, ROWS),
    "softmax": lambda kind: types.void(STATES, ROWS),
    "drawn": lambda kind: types.void(STATES, FLOAT, NOISE, types.int64[::1]),
}
MANY = ("read_many", "rows_of_many")


def _laid_out(layers: Sequence[Layer], places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the layers' matrices in panels, and `places` with where each begins there."""
    found, parts = places.copy(), _Vectors()
    for row, layer in zip(found, layers, strict=True):
        row[kernels.OF_INPUTS] = parts.add(panels(layer.of_inputs.T))
        row[kernels.OF_STATE] = parts.add(panels(layer.of_state.T))
    return found, parts.whole()


class _Vectors:
    """Vectors one after the other."""

    def __init__(self) -> None:
        self._parts = list[np.ndarray]()
        self._size = 0

    def add(self, vector: np.ndarray) -> int:
        """Add a vector (n,); give where it begins."""
        self._parts.append(vector)
        self._size += len(vector)
        return self._size - len(vector)

    def pad(self, size: int) -> None:
        """Add zeros of the type that is there."""
        self._parts.append(np.zeros(size, self._parts[0].dtype))

    def whole(self) -> np.ndarray:
        """Give all of them as one array, of float32 if there is none."""
        return np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)


class _Matrices:
    """Matrices one after the other, all in float32, or all in int8 with their scales."""

    def __init__(self) -> None:
        self._numbers, self._scales = _Vectors(), _Vectors()
        self._widest = 0

    def add(self, weight: Weight) -> tuple[int, int]:
        """Add a matrix; give where its numbers and its scales begin."""
        self._widest = max(self._widest, weight.shape[1])
        if isinstance(weight, Int8Rows):
            return self._numbers.add(weight.numbers.reshape(-1)), self._scales.add(weight.scales)
        return self._numbers.add(weight.reshape(-1)), 0

    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        """Give numbers and scales; behind the numbers there is room that may be read."""
        self._numbers.pad(AT_ONCE * self._widest + LANES)
        return self._numbers.whole(), self._scales.whole()
