"""What a cache adds to a network's prediction, compiled: for `charlm.predict.cache_compiled`.

What is computed is told in `charlm.predict.cached`, whose NumPy it is tested against. numba keeps
what it compiled until this file changes.
Legend: S streams, V vocabulary, L shared places, U ids that followed them, l a stream's own places.
"""

import numpy as np
from numba import njit

from charlm.model.kernels import exponential, held

OPTIONS = {"fastmath": {"contract", "afn"}, "error_model": "numpy", "nogil": True}
INLINED = {**OPTIONS, "inline": "always"}
ZERO, ONE = np.float32(0), np.float32(1)
NOTHING = -1
NEVER = np.float32(-np.inf)


@njit(**INLINED)
def weight_of(likeness, most, flatness):
    """Give e^(flatness (likeness - most)); 0 of what is forgotten."""
    if likeness == NEVER:
        return ZERO
    return exponential(held((likeness - most) * flatness))


def weigh(of_shared, columns, starts, own, ids, size, flatness, sums, counts):
    """Turn the likeness of places into weights that add up to one.

    of_shared: (S, L) likeness of the shared places; where the oldest first are is in `columns` (L,)
    own, ids:  (S, l) likeness of a stream's own places, which become weights, and what followed
    sums:      (S, U) is filled with those of the shared places, which begin at `starts` (U,)
    counts:    (S,) is filled with how many places a stream holds
    """
    places = len(columns)
    for stream in range(len(own)):
        like, mine, number = of_shared[stream], own[stream], np.int64(0)
        for place in range(len(mine)):
            if ids[stream, place] == NOTHING:
                mine[place] = NEVER
            else:
                number += 1
        forgotten = max(np.int64(0), places + number - size)
        for place in range(forgotten):
            like[columns[place]] = NEVER
        counts[stream] = number + places - forgotten
        most, total = NEVER, ZERO
        for place in range(places):
            most = max(most, like[place])
        for place in range(len(mine)):
            most = max(most, mine[place])
        for place in range(places):
            like[place] = weight_of(like[place], most, flatness)
        for group in range(len(starts)):
            end = starts[group + 1] if group + 1 < len(starts) else places
            part = ZERO
            for place in range(starts[group], end):
                part += like[place]
            sums[stream, group] = part
            total += part
        for place in range(len(mine)):
            mine[place] = weight_of(mine[place], most, flatness)
            total += mine[place]
        if counts[stream] > 0:
            scale = ONE / total
            for group in range(len(starts)):
                sums[stream, group] *= scale
            for place in range(len(mine)):
                mine[place] *= scale


def mix(probs, shares, sums, of_shared, own, ids, mixed):
    """Fill p of every id (S, V): the network's, and the cache's, of shares (S,).

    sums: (S, U) of the shared places, of the ids `of_shared` (U,); own: (S, l), of `ids` (S, l)
    """
    for stream in range(len(mixed)):
        share = shares[stream]
        left, row = ONE - share, mixed[stream]
        for token in range(len(row)):
            row[token] = left * probs[stream, token]
        for group in range(len(of_shared)):
            row[of_shared[group]] += share * sums[stream, group]
        for place in range(ids.shape[1]):
            if ids[stream, place] != NOTHING:
                row[ids[stream, place]] += share * own[stream, place]
