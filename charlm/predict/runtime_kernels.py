"""A step of `charlm.predict.runtime`, compiled by numba: all layers, the head, the draw.

What NumPy does in a dozen calls is one here, and weights in rows of eight bits are multiplied as
they are: what a token costs is above all the reading of weights from memory. For that a vector is
cut into whole numbers of 28 bits, finer than float32, and sums are exact.

Matrices lie one after the other in `numbers`, row by row, float32 or int8 with a scale for each row
in `scales`. Gates stand as in `charlm.predict.runtime_cells`: sigmoids first, their sums halved.
Exponentials come from `charlm.model.kernels`, and are lost where sums may be reordered: the
functions that use them stand apart. numba keeps what it compiled until this file changes.
Legend: S streams, I inputs, H hidden units, G gates, E size of the outputs, V vocabulary, M numbers
of a stream's state.
"""

import numpy as np
from numba import njit, types
from numba.extending import overload

from charlm.model.kernels import exponential, held, sigmoid, tanh
from charlm.predict.vectors import LANES, ROWS, SHIFT, address, ask_for, four_sums

EXACT = {"fastmath": {"contract", "afn"}, "error_model": "numpy"}
# sums in any order, while other threads may work
OPTIONS = {**EXACT, "fastmath": {"contract", "reassoc", "nsz"}, "nogil": True}
INPUTS, UNITS, OF_INPUTS, OF_STATE, INPUT_SCALES, STATE_SCALES = range(6)  # columns of `layers`
BIASES, CANDIDATE_BIASES, H, C = range(6, 10)
LSTM, GRU, TANH, RELU = range(4)
FLOAT = np.float32
ZERO, ONE, TWO = FLOAT(0), FLOAT(1), FLOAT(2)
PIECE = 1024  # numbers of a row whose sums stay within 32 bits
FINEST = float(1 << (2 * SHIFT))
LOW = (1 << SHIFT) - 1
LINE = 16  # numbers that come at once
AHEAD = 2  # rows further on that are asked for while one is multiplied
BLOCK = 256  # weights that are added up before it is known where an aim falls


@njit(**EXACT)
def largest(values, sizes):
    """Give the largest of values (n,), n > 0, or of their sizes: in lanes, which are one vector."""
    first = abs(values[0]) if sizes else values[0]
    lanes, whole = np.full(LANES, first, np.float32), len(values) - len(values) % LANES
    for begin in range(0, whole, LANES):
        for lane in range(LANES):
            value = values[begin + lane]
            value = abs(value) if sizes else value
            lanes[lane] = value if value > lanes[lane] else lanes[lane]
    for place in range(whole, len(values)):
        value = abs(values[place]) if sizes else values[place]
        lanes[0] = value if value > lanes[0] else lanes[0]
    for lane in range(1, LANES):
        lanes[0] = lanes[lane] if lanes[lane] > lanes[0] else lanes[0]
    return lanes[0]


def multiply(numbers, start, rows, scales, first_scale, vector, sums):
    """Add a matrix (rows, n), `numbers` from `start` on, times a vector (n,) to sums (rows,)."""


@overload(multiply)
def multiply_for(numbers, start, rows, scales, first_scale, vector, sums):
    """Choose how to multiply by matrices of this type."""

    def by_floats(numbers, start, rows, scales, first_scale, vector, sums):
        width = len(vector)
        for row in range(rows):
            own = numbers[start + row * width : start + (row + 1) * width]
            for place in range(0, width, LINE):
                ask_for(numbers, start + (row + AHEAD) * width + place)
            total = ZERO
            for place in range(width):
                total += own[place] * vector[place]
            sums[row] += total

    def by_bytes(numbers, start, rows, scales, first_scale, vector, sums):
        width, most = len(vector), largest(vector, True)
        if most == ZERO:
            return
        factor, unit, result = FINEST / most, FLOAT(most / FINEST), np.empty(ROWS, np.float32)
        for begin in range(0, width, PIECE):
            end = min(begin + PIECE, width)
            blocks = (end - begin + LANES - 1) // LANES
            high, low = np.zeros(blocks * LANES, np.int16), np.zeros(blocks * LANES, np.int16)
            for place in range(end - begin):
                whole = np.int64(np.rint(vector[begin + place] * factor))
                high[place], low[place] = whole >> SHIFT, whole & LOW
            for row in range(0, rows, ROWS):
                four_sums(
                    address(numbers, start + row * width + begin),
                    width,
                    address(high, 0),
                    address(low, 0),
                    blocks,
                    address(result, 0),
                )
                for each in range(min(ROWS, rows - row)):
                    scale = unit * scales[first_scale + row + each]
                    sums[row + each] += scale * result[each]

    return by_bytes if numbers.dtype == types.int8 else by_floats


def read(ids, before, after, table, tabulated, cell, layers, numbers, scales, biases):
    """Read an id in each stream, (S,): from states before (S, M) to states after (S, M).

    table: (V, G·H) what the first layer adds for each id if `tabulated`, else its input (V, I)

    Gives whether all ids are ids; else it does nothing.
    """
    for stream in range(len(ids)):
        if ids[stream] < 0 or ids[stream] >= len(table):
            return False
    for stream in range(len(ids)):
        old, new, below = before[stream], after[stream], np.int64(0)
        for number in range(len(layers)):
            layer = layers[number]
            units, inputs = layer[UNITS], layer[INPUTS]
            rows = units * (np.int64(4) if cell == LSTM else np.int64(3) if cell == GRU else 1)
            state = old[layer[H] : layer[H] + units].copy()
            if number == 0 and tabulated:
                sums = table[ids[stream]].copy()
            else:
                sums = biases[layer[BIASES] : layer[BIASES] + rows].copy()
                vector = table[ids[stream]] if number == 0 else new[below : below + inputs]
                multiply(numbers, layer[OF_INPUTS], rows, scales, layer[INPUT_SCALES], vector, sums)
            result = new[layer[H] : layer[H] + units]
            if cell == GRU:
                recurrent = np.zeros(rows, np.float32)
                first = layer[CANDIDATE_BIASES]
                recurrent[2 * units :] = biases[first : first + units]
                multiply(
                    numbers, layer[OF_STATE], rows, scales, layer[STATE_SCALES], state, recurrent
                )
                finish_gru(sums, recurrent, state, result)
            else:
                multiply(numbers, layer[OF_STATE], rows, scales, layer[STATE_SCALES], state, sums)
                if cell == LSTM:
                    memory = slice(layer[C], layer[C] + units)
                    finish_lstm(sums, old[memory], new[memory], result)
                else:
                    finish_rnn(sums, result, cell == RELU)
            below = layer[H]
    return True


@njit(**EXACT)
def finish_lstm(sums, old, new, result):
    """Fill c' = f c + i g and h' = o tanh(c'), given half of i, f, o and all of g."""
    units = len(result)
    for unit in range(units):
        i = sigmoid(TWO * sums[unit])
        f = sigmoid(TWO * sums[units + unit])
        o = sigmoid(TWO * sums[2 * units + unit])
        c = f * old[unit] + i * tanh(sums[3 * units + unit])
        new[unit] = c
        result[unit] = o * tanh(c)


@njit(**EXACT)
def finish_gru(sums, recurrent, state, result):
    """Fill h' = n + z (h - n) with n = tanh(x + r y), given half of r, z and all of x, y."""
    units = len(result)
    for unit in range(units):
        r = sigmoid(TWO * (sums[unit] + recurrent[unit]))
        z = sigmoid(TWO * (sums[units + unit] + recurrent[units + unit]))
        n = tanh(sums[2 * units + unit] + r * recurrent[2 * units + unit])
        result[unit] = n + z * (state[unit] - n)


@njit(**EXACT)
def finish_rnn(sums, result, relu):
    """Fill h' = tanh or relu of the sums."""
    for unit in range(len(result)):
        result[unit] = max(sums[unit], ZERO) if relu else tanh(sums[unit])


def rows_of(vectors, numbers, scales, biases, sums):
    """Give a matrix (R, E) times vectors (S, E), and biases (R,): sums (S, R)."""
    rows = len(biases)
    for stream in range(len(vectors)):
        sums[stream] = biases
        multiply(numbers, 0, rows, scales, 0, vectors[stream].copy(), sums[stream])


def softmax(logits, shares):
    """Fill p of every id by logits (S, V)."""
    for stream in range(len(logits)):
        row = shares[stream]
        fill_weights(logits[stream], largest(logits[stream], False), ONE, row)
        total = ZERO
        for place in range(len(row)):
            total += row[place]
        for place in range(len(row)):
            row[place] /= total


def log_totals(logits, totals):
    """Fill the log of the sum of e^logits (S, V) of each stream, (S, 1)."""
    weights = np.empty(logits.shape[1], np.float32)
    for stream in range(len(logits)):
        most, total = largest(logits[stream], False), ZERO
        fill_weights(logits[stream], most, ONE, weights)
        for place in range(len(weights)):
            total += weights[place]
        totals[stream, 0] = most + np.log(total)


def drawn(logits, inverse, noise, ids):
    """Draw ids (S,) from logits (S, V), `inverse` one over the temperature, by noise (S,)."""
    size = logits.shape[1]
    weights, sums = np.empty(size, np.float32), np.empty((size + BLOCK - 1) // BLOCK, np.float64)
    for stream in range(len(ids)):
        own = logits[stream]
        most = largest(own, False)
        fill_weights(own, most, inverse, weights)
        total = 0.0
        for block in range(len(sums)):
            part = ZERO
            for place in range(block * BLOCK, min((block + 1) * BLOCK, size)):
                part += weights[place]
            sums[block] = part
            total += part
        aim, block = noise[stream] * total, np.int64(0)
        while block < len(sums) - 1 and aim >= sums[block]:
            aim -= sums[block]
            block += 1
        ids[stream] = place_of(weights, block * BLOCK, min((block + 1) * BLOCK, size), aim)


@njit(**EXACT)
def fill_weights(logits, most, inverse, weights):
    """Fill e^((logit - most) / temperature);."""
    for place in range(len(weights)):
        weights[place] = exponential(held((logits[place] - most) * inverse))


@njit(**EXACT)
def place_of(weights, begin, end, aim):
    """Give the place from `begin` on at which the weights add up to more than the aim."""
    total, last = 0.0, begin
    for place in range(begin, end):
        if weights[place] > ZERO:
            total += weights[place]
            last = place
            if total > aim:
                return place
    return last
