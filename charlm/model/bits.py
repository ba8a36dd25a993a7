"""Memory as numba's compiled functions see it: addresses, bits, and bfloat16, which it has not.

For `charlm.model.kernels`, which numba does not compile anew when only this file changes.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

DATA = types.CPointer(types.int64)
BITS, BFLOAT16 = np.uint32, np.uint16
HALVES, ODD = BITS(0x7FFF), BITS(1)


@intrinsic
def take(typing, data):
    """Give the first of the data and add one to it, as one deed."""

    def generate(context, builder, signature, arguments):
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", arguments[0], one, "monotonic")

    return types.int64(DATA), generate


@intrinsic
def pointer(typing, address, kind):
    """Turn an address into a pointer to numbers of the type of `kind`."""
    result = types.CPointer(kind)

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(result))

    return result(types.int64, kind), generate


@intrinsic
def as_float(typing, bits):
    """Read 32 bits as a float."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), generate


@intrinsic
def as_bits(typing, number):
    """Read a float as 32 bits."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), generate


def load(row, place):
    """Give the number at a place of a row, as float32."""


def store(row, place, number):
    """Put a float32 at a place of a row, rounded to nearest even where the row is bfloat16."""


@overload(load, inline="always")
def load_for(row, place):
    """Choose how to load from a row of this type."""
    if row.dtype == types.uint16:
        return lambda row, place: as_float(BITS(row[place]) << BITS(16))
    return lambda row, place: row[place]


@overload(store, inline="always")
def store_for(row, place, number):
    """Choose how to store into a row of this type."""

    def put(row, place, number):
        row[place] = number

    def put_rounded(row, place, number):
        bits = as_bits(number)
        row[place] = np.uint16((bits + HALVES + ((bits >> BITS(16)) & ODD)) >> BITS(16))

    return put_rounded if row.dtype == types.uint16 else put
