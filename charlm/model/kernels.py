"""Steps of recurrent cells, compiled by numba: for `charlm.model.compiled`.

A kernel is called with the address of its data, an array of 64-bit numbers: what is counted, the
step, and the addresses of the arrays. All threads that call it with the same data share the
streams: each takes some after the other until none is left. The product is, forward, that of the
recurrent weights with the states, its bias included, (B, G·H); backward, what the state gets from
the step after, (B, H). Arrays are C-contiguous, in the type of the products: bfloat16, as bits,
where data[HALF] is set, else float32, as are those for which it is said. Legend: B streams, T
steps, H hidden units, G gates. What a step computes is told, with its equations, in
`charlm.model.walks`, whose plain PyTorch is what the kernels are tested against.

Sums are not reassociated, and NaN stays NaN: `contract` and `afn` alone are allowed. numba keeps
what it compiled until this file changes: what may change is in this file.
"""

import numpy as np
from numba import carray, njit

from charlm.model.bits import BFLOAT16, BITS, as_bits, as_float, load, pointer, store, take

TICKET = 0  # written by all threads: no other datum may be in the same line of the caches
STREAMS, UNITS, HALF, STEP, PRODUCT, A, B, C, D, E, F, G = range(16, 28)  # A to G: arrays
BUNCH = 4  # streams that a thread takes at a time

OPTIONS = {"fastmath": {"contract", "afn"}, "error_model": "numpy"}
INLINED = {**OPTIONS, "inline": "always"}
FLOAT = np.float32
ONE = FLOAT(1)
LOG2_E = FLOAT(1.4426950408889634)
LN2_HIGH, LN2_LOW = FLOAT(0.693145751953125), FLOAT(1.4286068203094172e-06)
SHIFT = FLOAT(1.5 * 2**23)  # adding it leaves the nearest whole number in the lowest bits
BIAS = BITS(127)
FARTHEST = FLOAT(87)  # beyond it e^x or its inverse is no normal number


@njit(**INLINED)
def row_of(data, array, kind, number, width=1, part=0):
    """Show the H numbers of one gate (`part`) in a row of an array; `width` gates make a row."""
    units = data[UNITS]
    start = (number * width + part) * units
    return carray(pointer(data[array], kind), (start + units,))[start:]


@njit(**INLINED)
def thirds(data, array, kind, number):
    """Show the three gates in a row of an array."""
    return (
        row_of(data, array, kind, number, 3, 0),
        row_of(data, array, kind, number, 3, 1),
        row_of(data, array, kind, number, 3, 2),
    )


@njit(**INLINED)
def fourths(data, array, kind, number):
    """Show the four gates in a row of an array."""
    return (
        row_of(data, array, kind, number, 4, 0),
        row_of(data, array, kind, number, 4, 1),
        row_of(data, array, kind, number, 4, 2),
        row_of(data, array, kind, number, 4, 3),
    )


@njit(**INLINED)
def exponential(x):
    """Compute e^x to some units in the last place; x at most 87 in size.

    With k the whole number nearest to x / ln 2, e^x = 2^k e^r, and e^r by its series.
    """
    shifted = x * LOG2_E + SHIFT
    power = shifted - SHIFT
    r = (x - power * LN2_HIGH) - power * LN2_LOW
    series = FLOAT(1 / 720)
    series = series * r + FLOAT(1 / 120)
    series = series * r + FLOAT(1 / 24)
    series = series * r + FLOAT(1 / 6)
    series = series * r + FLOAT(1 / 2)
    series = series * r + ONE
    series = series * r + ONE
    return series * as_float((as_bits(shifted) + BIAS) << BITS(23))


@njit(**INLINED)
def held(x):
    """Keep x within ±87; NaN stays."""
    x = -FARTHEST if x < -FARTHEST else x
    return FARTHEST if x > FARTHEST else x


@njit(**INLINED)
def sigmoid(x):
    """Compute 1 / (1 + e^-x)."""
    return ONE / (ONE + exponential(held(-x)))


@njit(**INLINED)
def tanh(x):
    """Compute 2 / (1 + e^-2x) - 1, to 1e-7."""
    return FLOAT(2) / (ONE + exponential(held(FLOAT(-2) * x))) - ONE


@njit(**INLINED)
def share(data, step):
    """Take streams until none is left, and let each make its step: step(data, stream, now, kind).

    now: the row of the stream in arrays of (T, B, ...).
    """
    streams, first = data[STREAMS], BUNCH * take(data)
    while first < streams:
        for stream in range(first, min(streams, first + BUNCH)):
            now = data[STEP] * streams + stream
            if data[HALF]:
                step(data, stream, now, BFLOAT16(0))
            else:
                step(data, stream, now, FLOAT(0))
        first = BUNCH * take(data)


@njit(**OPTIONS)
def lstm_forward_of(data, stream, now, kind):
    """Fill memory and states after the step; gates become i, f, n, o."""
    i_gate, f_gate, n_gate, o_gate = fourths(data, A, kind, now)
    i_part, f_part, n_part, o_part = fourths(data, PRODUCT, kind, stream)
    after = now + data[STREAMS]
    old, new = row_of(data, B, FLOAT(0), now), row_of(data, B, FLOAT(0), after)
    state = row_of(data, C, kind, after)
    for unit in range(len(state)):
        i = sigmoid(load(i_gate, unit) + load(i_part, unit))
        f = sigmoid(load(f_gate, unit) + load(f_part, unit))
        n = tanh(load(n_gate, unit) + load(n_part, unit))
        o = sigmoid(load(o_gate, unit) + load(o_part, unit))
        c = f * old[unit] + i * n
        store(i_gate, unit, i)
        store(f_gate, unit, f)
        store(n_gate, unit, n)
        store(o_gate, unit, o)
        new[unit] = c
        store(state, unit, o * tanh(c))


def lstm_forward(data):
    """Step: gates (T, B, 4·H); memory (T + 1, B, H), float32; states (T + 1, B, H)."""
    share(data, lstm_forward_of)


@njit(**OPTIONS)
def lstm_backward_of(data, stream, now, kind):
    """Fill the gradients; of_memory, by the memory after, becomes that by the memory before."""
    i_gate, f_gate, n_gate, o_gate = fourths(data, A, kind, now)
    old, new = row_of(data, B, FLOAT(0), now), row_of(data, B, FLOAT(0), now + data[STREAMS])
    received, part = row_of(data, C, kind, now), row_of(data, PRODUCT, kind, stream)
    of_memory = row_of(data, D, FLOAT(0), stream)
    i_sum, f_sum, n_sum, o_sum = fourths(data, E, kind, now)
    for unit in range(len(of_memory)):
        i, f, n = load(i_gate, unit), load(f_gate, unit), load(n_gate, unit)
        o, bounded = load(o_gate, unit), tanh(new[unit])
        by_state = load(received, unit) + load(part, unit)
        by_memory = of_memory[unit] + by_state * o * (ONE - bounded * bounded)
        store(i_sum, unit, by_memory * n * i * (ONE - i))
        store(f_sum, unit, by_memory * old[unit] * f * (ONE - f))
        store(n_sum, unit, by_memory * i * (ONE - n * n))
        store(o_sum, unit, by_state * bounded * o * (ONE - o))
        of_memory[unit] = by_memory * f


def lstm_backward(data):
    """Back: gates; memory; received (T, B, H); of_memory (B, H), float32; gradients (T, B, 4·H)."""
    share(data, lstm_backward_of)


@njit(**OPTIONS)
def gru_forward_of(data, stream, now, kind):
    """Fill states after the step and inner, the product's candidate; gates become r, z, n."""
    r_gate, z_gate, n_gate = thirds(data, A, kind, now)
    r_part, z_part, n_part = thirds(data, PRODUCT, kind, stream)
    inner, state = row_of(data, B, kind, now), row_of(data, C, FLOAT(0), stream)
    rounded = row_of(data, D, kind, now + data[STREAMS])
    for unit in range(len(state)):
        r = sigmoid(load(r_gate, unit) + load(r_part, unit))
        z = sigmoid(load(z_gate, unit) + load(z_part, unit))
        b = load(n_part, unit)
        n = tanh(load(n_gate, unit) + r * b)
        h = n + z * (state[unit] - n)
        store(r_gate, unit, r)
        store(z_gate, unit, z)
        store(n_gate, unit, n)
        store(inner, unit, b)
        store(rounded, unit, h)
        state[unit] = h


def gru_forward(data):
    """Step: gates (T, B, 3·H); inner (T, B, H); state (B, H), float32; states (T + 1, B, H)."""
    share(data, gru_forward_of)


@njit(**OPTIONS)
def gru_backward_of(data, stream, now, kind):
    """Fill the gradients; direct, what went past the product to the state, for the one before."""
    r_gate, z_gate, n_gate = thirds(data, A, kind, now)
    inner, before = row_of(data, B, kind, now), row_of(data, C, kind, now)
    received, part = row_of(data, D, kind, now), row_of(data, PRODUCT, kind, stream)
    direct = row_of(data, E, FLOAT(0), stream)
    r_input, z_input, n_input = thirds(data, F, kind, now)
    r_product, z_product, n_product = thirds(data, G, kind, now)
    for unit in range(len(direct)):
        r, z, n = load(r_gate, unit), load(z_gate, unit), load(n_gate, unit)
        gradient = load(received, unit) + load(part, unit) + direct[unit]
        of_n = gradient * (ONE - z) * (ONE - n * n)
        of_z = gradient * (load(before, unit) - n) * z * (ONE - z)
        of_r = of_n * load(inner, unit) * r * (ONE - r)
        store(r_input, unit, of_r)
        store(z_input, unit, of_z)
        store(n_input, unit, of_n)
        store(r_product, unit, of_r)
        store(z_product, unit, of_z)
        store(n_product, unit, of_n * r)
        direct[unit] = gradient * z


def gru_backward(data):
    """Back: gates; inner; states; received; direct (B, H), float32; gradients (T, B, 3·H).

    They are by the inputs' part, and by the product.
    """
    share(data, gru_backward_of)


@njit(**OPTIONS)
def rnn_forward_of(data, stream, now, kind):
    """Fill states after the step."""
    gate, part = row_of(data, A, kind, now), row_of(data, PRODUCT, kind, stream)
    state = row_of(data, B, kind, now + data[STREAMS])
    for unit in range(len(state)):
        store(state, unit, tanh(load(gate, unit) + load(part, unit)))


def rnn_forward(data):
    """Step: gates (T, B, H); states (T + 1, B, H)."""
    share(data, rnn_forward_of)


@njit(**OPTIONS)
def rnn_backward_of(data, stream, now, kind):
    """Fill the gradients."""
    state, received = row_of(data, A, kind, now + data[STREAMS]), row_of(data, B, kind, now)
    part, of_sum = row_of(data, PRODUCT, kind, stream), row_of(data, C, kind, now)
    for unit in range(len(state)):
        h = load(state, unit)
        store(of_sum, unit, (load(received, unit) + load(part, unit)) * (ONE - h * h))


def rnn_backward(data):
    """Back: states; received (T, B, H); gradients (T, B, H)."""
    share(data, rnn_backward_of)
