"""Looking n-grams up for several streams, compiled by numba: for `charlm.predict.ngram_compiled`.

What is computed is told in `charlm.predict.ngram`, whose NumPy it is tested against. Each length is
a row of `tables`: the addresses of its arrays, of which those of the keys are sorted, and how many
n-grams there are. numba keeps what it compiled until this file changes.
Legend: S streams, V vocabulary, K order.
"""

import numpy as np
from numba import carray, njit

from charlm.model.bits import pointer

KEYS, LOG_PROBS, LEFT, SIZE = range(4)  # columns of `tables`
OPTIONS = {"error_model": "numpy", "nogil": True}
UNSEEN = -1
LONG, FLOAT = np.int64(0), np.float32(0)  # numbers of these types


@njit(inline="always")
def first_not_below(keys, key):
    """Give the place of the first of sorted keys that is not below one."""
    begin, size = np.int64(0), np.int64(len(keys))
    while size > 0:
        half = size // 2
        if keys[begin + half] < key:
            begin += half + 1
            size -= half + 1
        else:
            size = half
    return begin


@njit(inline="always")
def keys_of(tables, length):
    """Show the keys of a length's n-grams."""
    return carray(pointer(tables[length, KEYS], LONG), (tables[length, SIZE],))


def numbers_after(ids, states, tables, vocab_size, after):
    """Fill the states (S, K - 1) that follow on `states` when each reads one id, (S,)."""
    streams, longest = states.shape
    for stream in range(streams):
        token = ids[stream]
        if longest > 0:
            after[stream, 0] = token
        for length in range(1, longest):
            before, found = states[stream, length - 1], np.int64(UNSEEN)
            if before != UNSEEN:
                keys, key = keys_of(tables, length), before * vocab_size + token
                place = first_not_below(keys, key)
                if place < len(keys) and keys[place] == key:
                    found = place
            after[stream, length] = found


def log_probs_after(states, tables, vocab_size, result):
    """Fill log p of every id after each state, (S, V)."""
    streams, longest = states.shape
    singles = carray(pointer(tables[0, LOG_PROBS], FLOAT), (vocab_size,))
    left = np.empty(longest + 1, np.float64)  # by all contexts of a length and longer ones
    for stream in range(streams):
        lengths = np.int64(0)
        while lengths < longest and states[stream, lengths] != UNSEEN:
            lengths += 1
        left[lengths] = 0.0
        for length in range(lengths - 1, -1, -1):
            context = states[stream, length]
            own = carray(pointer(tables[length, LEFT], FLOAT), (tables[length, SIZE],))
            left[length] = left[length + 1] + own[context]
        row, later = result[stream], np.float32(left[0])
        for token in range(vocab_size):
            row[token] = singles[token] + later
        for length in range(1, lengths + 1):
            keys, start = keys_of(tables, length), states[stream, length - 1] * vocab_size
            own = carray(pointer(tables[length, LOG_PROBS], FLOAT), (tables[length, SIZE],))
            place, later = first_not_below(keys, start), np.float32(left[length])
            while place < len(keys) and keys[place] < start + vocab_size:
                row[keys[place] - start] = own[place] + later
                place += 1
