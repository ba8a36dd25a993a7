"""Products of several vectors with one matrix, as numba's compiled functions call them.

For `charlm.predict.runtime_many`, which numba does not compile anew when only this file changes.
A matrix lies in panels: WIDTH of its columns after the other, row by row, the last panel filled up
with zeros. A tile multiplies a few vectors with one panel and holds all its sums in registers; each
sum is made in the order of the vector's numbers, so that a vector gives the same whatever others
are multiplied beside it.
Legend: S vectors, n numbers of each, R columns of the matrix.
"""

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from charlm.predict.vectors import ask_ahead

WIDE = bool(binding.get_host_cpu_features().get("avx512f"))  # 32 registers of 16 numbers
LANES = 16 if WIDE else 8
PARTS = 3  # registers of a vector's sums
WIDTH = PARTS * LANES
AHEAD = 10 * WIDTH  # numbers further on that are asked for while others are multiplied
MORE, FEWER = (8, 4) if WIDE else (4, 4)  # vectors in a tile: more, and for those that are left

FLOAT, LONG = ir.FloatType(), ir.IntType(64)
VECTOR = ir.VectorType(FLOAT, LANES)
FMA = ir.FunctionType(VECTOR, [VECTOR] * 3)
FIRST = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)


def panels(matrix: np.ndarray) -> np.ndarray:
    """Lay out a matrix (R, n), whose rows are the columns to multiply with, in panels, flat."""
    rows, width = matrix.shape
    laid = np.zeros((-(-rows // WIDTH), width, WIDTH), dtype=np.float32)
    for number, panel in enumerate(laid):
        own = matrix[number * WIDTH : (number + 1) * WIDTH]
        panel[:, : len(own)] = own.T
    return laid.reshape(-1)


def _tile(count, typing, vectors, stride, last, inner, panel, sums):
    """Give what `tile_of` makes: its type, and what it becomes."""

    def generate(context, builder, signature, arguments):
        fma = cgutils.get_or_insert_function(builder.module, FMA, f"llvm.fma.v{LANES}f32")
        vectors, stride, last, inner, panel, sums = arguments
        rows = [_row(builder, vectors, stride, last, number) for number in range(count)]
        zero = ir.Constant(VECTOR, None)
        totals = [[cgutils.alloca_once_value(builder, zero) for _ in range(PARTS)] for _ in rows]
        for total in (each for own in totals for each in own):
            builder.store(zero, total)  # what is allocated once is set once, also within a loop
        with cgutils.for_range(builder, inner) as loop:
            at = builder.mul(loop.index, ir.Constant(LONG, WIDTH))
            for part in range(PARTS):  # of some rows further on, also of the next panel
                ahead = builder.add(at, ir.Constant(LONG, AHEAD + part * LANES))
                ask_ahead(builder, panel, ahead)
            columns = [
                builder.load(_vector(builder, builder.gep(panel, [at]), part), align=4)
                for part in range(PARTS)
            ]
            for row, own in zip(rows, totals, strict=True):
                number = _everywhere(builder, builder.load(builder.gep(row, [loop.index])))
                for column, total in zip(columns, own, strict=True):
                    added = builder.call(fma, [number, column, builder.load(total)])
                    builder.store(added, total)
        for number, own in enumerate(totals):
            for part, total in enumerate(own):
                target = _vector(builder, sums, number * PARTS + part)
                builder.store(builder.load(total), target, align=4)
        return context.get_dummy_value()

    return types.void(vectors, types.int64, types.int64, types.int64, panel, sums), generate


def tile_of(count):
    """Make a function that multiplies `count` vectors with a panel, to sums (count, WIDTH).

    tile(vectors, stride, last, inner, panel, sums): addresses, the distance of two vectors, the
    place of the last that there is (it stands in for those that follow), and numbers of each
    """

    def tile(typing, vectors, stride, last, inner, panel, sums):
        """Multiply."""
        return _tile(count, typing, vectors, stride, last, inner, panel, sums)

    return intrinsic(tile)


def _row(builder, vectors, stride, last, number):
    place = ir.Constant(LONG, number)
    place = builder.select(builder.icmp_signed("<", place, last), place, last)
    return builder.gep(vectors, [builder.mul(place, stride)])


def _vector(builder, pointer, number):
    """Give where the vector of a number stands behind a pointer."""
    place = builder.gep(pointer, [ir.Constant(LONG, number * LANES)])
    return builder.bitcast(place, VECTOR.as_pointer())


def _everywhere(builder, value):
    """Give a vector of nothing but one value."""
    nothing = ir.Constant(VECTOR, ir.Undefined)
    one = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, nothing, FIRST)


more_times, fewer_times = tile_of(MORE), tile_of(FEWER)
