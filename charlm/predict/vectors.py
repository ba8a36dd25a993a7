"""Sums of products of whole numbers, as numba's compiled functions call them.

For `charlm.predict.runtime_kernels`, which numba does not compile anew when only this file changes.
They are written as LLVM's vectors, of any machine: where it has an instruction for sums of products
of 16 bits (AVX2, AVX-512, and VNNI, which adds them up at once), LLVM takes that.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_untracked
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

LANES = 32  # numbers that are multiplied at a time,
HALF = LANES // 2  # and their sums
ROWS = 4  # that share what is loaded of the vector
SHIFT = 14  # bits of the vector's lower part

BYTE, SHORT, WORD, LONG = (ir.IntType(bits) for bits in (8, 16, 32, 64))
SUMS = ir.VectorType(WORD, HALF)


@intrinsic
def address(typing, array, place):
    """Give a pointer to a number of an array (N,)."""

    def generate(context, builder, signature, arguments):
        whole = make_array(signature.args[0])(context, builder, arguments[0])
        return builder.gep(whole.data, [arguments[1]])

    return types.CPointer(array.dtype)(array, types.int64), generate


@intrinsic
def ask_for(typing, array, place):
    """Ask for a number of an array (N,), or behind it, that will be read soon."""

    def generate(context, builder, signature, arguments):
        whole = make_array(signature.args[0])(context, builder, arguments[0])
        ask_ahead(builder, whole.data, arguments[1])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


def ask_ahead(builder, pointer, place):
    """Let a processor fetch the number at a place behind a pointer, where it can."""
    kind = ir.FunctionType(ir.VoidType(), [BYTE.as_pointer(), WORD, WORD, WORD])
    ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    to_read = [ir.Constant(WORD, each) for each in (0, 3, 1)]
    builder.call(ask, [builder.bitcast(builder.gep(pointer, [place]), BYTE.as_pointer()), *to_read])


@intrinsic
def four_sums(typing, matrix, width, high, low, blocks, result):
    """Multiply four rows of a matrix of bytes, each `width` after the other, by one vector.

    The vector's whole numbers are high · 2^14 + low, in parts of 16 bits; `blocks` times LANES of
    them are taken. The sums become float32 only then, at `result`: they are exact as long as none
    of a part's leaves 32 bits, which takes more than 1,032 numbers.
    """

    def generate(context, builder, signature, arguments):
        matrix, width, high, low, blocks, result = arguments
        zero = ir.Constant(SUMS, None)
        totals = [[cgutils.alloca_once_value(builder, zero) for _ in range(2)] for _ in range(ROWS)]
        with cgutils.for_range(builder, blocks) as loop:
            at = builder.mul(loop.index, ir.Constant(LONG, LANES))
            parts = [_load(builder, part, at, SHORT, 2) for part in (high, low)]
            for row, own in enumerate(totals):
                place = builder.add(at, builder.mul(width, ir.Constant(LONG, row)))
                numbers = _load(builder, matrix, place, BYTE, 1)
                for part, total in zip(parts, own, strict=True):
                    products = _products(builder, numbers, part)
                    builder.store(builder.add(builder.load(total), products), total)
        for row, own in enumerate(totals):
            upper, lower = (_sum(builder, total) for total in own)
            whole = builder.add(builder.shl(upper, ir.Constant(LONG, SHIFT)), lower)
            target = builder.gep(result, [ir.Constant(LONG, row)])
            builder.store(builder.sitofp(whole, ir.FloatType()), target)
        return impl_ret_untracked(context, builder, types.void, context.get_dummy_value())

    return types.void(matrix, types.int64, high, low, types.int64, result), generate


def _load(builder, pointer, place, kind, align):
    """Load LANES numbers from a place."""
    vector = ir.VectorType(kind, LANES).as_pointer()
    return builder.load(builder.bitcast(builder.gep(pointer, [place]), vector), align=align)


def _products(builder, numbers, part):
    """Multiply, and add up neighbours: LANES numbers become HALF sums."""
    wide = ir.VectorType(WORD, LANES)
    every = builder.mul(builder.sext(numbers, wide), builder.sext(part, wide))
    even, odd = (_every_second(builder, every, first) for first in (0, 1))
    return builder.add(even, odd)


def _every_second(builder, vector, first):
    places = [ir.Constant(WORD, first + 2 * place) for place in range(HALF)]
    mask = ir.Constant(ir.VectorType(WORD, HALF), places)
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)


def _sum(builder, total):
    """Add up a vector of sums, as 64 bits."""
    kind = ir.FunctionType(WORD, [SUMS])
    reduce = cgutils.get_or_insert_function(builder.module, kind, "llvm.vector.reduce.add.v16i32")
    return builder.sext(builder.call(reduce, [builder.load(total)]), LONG)
