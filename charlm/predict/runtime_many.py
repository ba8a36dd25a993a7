"""A step of many streams of `charlm.predict.runtime`, compiled by numba.

Weights are read once for a few streams at a time, in float32 and panels (`charlm.predict.panels`);
what each stream becomes does not depend on the others. Gates stand as in
`charlm.predict.runtime_cells`. numba keeps what it compiled until this file changes.
Legend: S streams, H hidden units, G gates, E size of the outputs, R rows of a matrix, V vocabulary,
M numbers of a stream's state.
"""

import numpy as np
from numba import njit

from charlm.predict.panels import FEWER, MORE, WIDTH, fewer_times, more_times
from charlm.predict.runtime_kernels import (
    BIASES,
    CANDIDATE_BIASES,
    EXACT,
    GRU,
    INPUTS,
    LSTM,
    OF_INPUTS,
    OF_STATE,
    RELU,
    UNITS,
    C,
    H,
    finish_gru,
    finish_lstm,
    finish_rnn,
)
from charlm.predict.vectors import address

# products are added in their order: a stream gives the same beside any others
OPTIONS = {**EXACT, "nogil": True}


@njit(**OPTIONS)
def add_products(vectors, begin, inner, numbers, start, rows, sums):
    """Add a matrix (R, n) in panels, `numbers` from `start` on, times vectors to sums (S, R).

    The vectors are n = `inner` columns of an array (S, M), from `begin` on.
    """
    room = np.empty(MORE * WIDTH, np.float32)
    for column in range(0, rows, WIDTH):
        panel = address(numbers, start + column * inner)
        add_panel(vectors, begin, inner, panel, column, min(rows, column + WIDTH), room, sums)


@njit(**OPTIONS)
def add_panel(vectors, begin, inner, panel, column, end, room, sums):
    """Do so for one panel: the columns of sums from `column` to `end`."""
    streams, stride = vectors.shape
    flat = vectors.reshape(-1)
    for first in range(0, streams, MORE):
        left = streams - first
        own = address(flat, first * stride + begin)
        if left > FEWER:
            more_times(own, stride, left - 1, inner, panel, address(room, 0))
        else:
            fewer_times(own, stride, left - 1, inner, panel, address(room, 0))
        for row in range(min(left, MORE)):
            for place in range(end - column):
                sums[first + row, column + place] += room[row * WIDTH + place]


def read_many(ids, before, after, table, tabulated, cell, layers, numbers, biases):
    """Read an id in each stream, (S,): as `charlm.predict.runtime_kernels.read`, from panels."""
    streams = len(ids)
    for stream in range(streams):
        if ids[stream] < 0 or ids[stream] >= len(table):
            return False
    below = np.int64(0)
    for number in range(len(layers)):
        layer = layers[number]
        units, inputs = layer[UNITS], layer[INPUTS]
        rows = units * (np.int64(4) if cell == LSTM else np.int64(3) if cell == GRU else 1)
        if number == 0 and tabulated:
            sums = table[ids]
        else:
            sums = np.empty((streams, rows), np.float32)
            sums[:] = biases[layer[BIASES] : layer[BIASES] + rows]
            if number == 0:
                vectors = table[ids]
                add_products(vectors, 0, inputs, numbers, layer[OF_INPUTS], rows, sums)
            else:
                add_products(after, below, inputs, numbers, layer[OF_INPUTS], rows, sums)
        if cell == GRU:
            recurrent = np.zeros((streams, rows), np.float32)
            first = layer[CANDIDATE_BIASES]
            recurrent[:, 2 * units :] = biases[first : first + units]
        else:
            recurrent = sums
        add_products(before, layer[H], units, numbers, layer[OF_STATE], rows, recurrent)
        for stream in range(streams):
            old = before[stream]
            result = after[stream, layer[H] : layer[H] + units]
            if cell == GRU:
                state = old[layer[H] : layer[H] + units]
                finish_gru(sums[stream], recurrent[stream], state, result)
            elif cell == LSTM:
                memory = slice(layer[C], layer[C] + units)
                finish_lstm(sums[stream], old[memory], after[stream, memory], result)
            else:
                finish_rnn(sums[stream], result, cell == RELU)
        below = layer[H]
    return True


def rows_of_many(vectors, numbers, biases, sums):
    """Give a matrix (R, E) in panels times vectors (S, E), and biases (R,): sums (S, R)."""
    rows, inner = len(biases), vectors.shape[1]
    room = np.empty(MORE * WIDTH, np.float32)
    for column in range(0, rows, WIDTH):  # while these sums are at hand
        end = min(rows, column + WIDTH)
        sums[:, column:end] = biases[column:end]
        add_panel(vectors, 0, inner, address(numbers, column * inner), column, end, room, sums)
