"""What a cache adds to a network's prediction, compiled: for `charlm.predict.cache_compiled`.

What is computed is told in `charlm.predict.cached`, whose NumPy it is tested against. numba keeps
what it compiled until this file changes.
Legend: S streams, V vocabulary, E size of the outputs, L shared places, U ids that followed them, l
a stream's own places, F those of all streams where each has a list.
"""

import numpy as np
from numba import carray, njit

from charlm.model.bits import pointer
from charlm.model.kernels import exponential, held

KEYS, IDS, NUMBER = range(3)  # of a stream's list: the addresses of its outputs and ids, how many
LONG = np.int64(0)  # a number of this type
OPTIONS = {"fastmath": {"contract", "afn"}, "error_model": "numpy", "nogil": True}
INLINED = {**OPTIONS, "inline": "always"}
SUMS = {**OPTIONS, "fastmath": {"contract", "reassoc", "nsz"}}  # in any order
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
        forgotten = min(places, max(np.int64(0), places + number - size))
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
        if total > ZERO:
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


@njit(**SUMS)
def fill_likeness(keys, query, likeness):
    """Fill the products of outputs, `keys` (n · E,), with a query (E,), (n,)."""
    size = len(query)
    for place in range(len(likeness)):
        total = ZERO
        for number in range(size):
            total += keys[place * size + number] * query[number]
        likeness[place] = total


def weigh_lists(lists, queries, flatness, shares, weights):
    """Fill the weights (F,) of the places of all streams' lists (S, 3), by queries (S, E).

    Those of a stream add up to its share, of shares (S,).
    """
    begin, width = np.int64(0), queries.shape[1]
    for stream in range(len(lists)):
        places = lists[stream, NUMBER]
        own = weights[begin : begin + places]
        begin += places
        keys = carray(pointer(lists[stream, KEYS], ZERO), (places * width,))
        fill_likeness(keys, queries[stream], own)
        most, total = NEVER, ZERO
        for place in range(places):
            most = max(most, own[place])
        for place in range(places):
            own[place] = weight_of(own[place], most, flatness)
        for place in range(places):
            total += own[place]
        scale = shares[stream] / total if total > ZERO else ZERO
        for place in range(places):
            own[place] *= scale


def mix_lists(probs, shares, lists, weights, mixed):
    """Fill p of every id (S, V): the network's, of which shares (S,) are given to the places."""
    begin = np.int64(0)
    for stream in range(len(lists)):
        left, row, places = ONE - shares[stream], mixed[stream], lists[stream, NUMBER]
        for token in range(len(row)):
            row[token] = left * probs[stream, token]
        ids = carray(pointer(lists[stream, IDS], LONG), (places,))
        for place in range(places):
            row[ids[place]] += weights[begin + place]
        begin += places
