"""The suffixes of a text in order: what makes any stretch of it findable by halving.

Prefix doubling (Manber & Myers 1993) over what is still tied (Larsson & Sadakane 2007): whoever
agrees on h bytes is compared by the rank of what follows them, so h doubles with each round. A
text of one repeated letter takes log2(depth) rounds, not one for each letter.
"""

import numpy as np

SYMBOL_BITS = 9  # of a byte, or of what lies behind the end and comes before all bytes
FIRST = 63 // SYMBOL_BITS  # bytes compared at once, in an int64, before the first round


def sort_suffixes(data: bytes | bytearray, depth: int) -> np.ndarray:
    """Give the places (N,) int32 at which suffixes begin, in the order of their first bytes.

    At least the first `depth` bytes count; suffixes that agree on more may stand in any order. A
    suffix that ends comes before those that go on. Takes up to 50 bytes of memory for each byte.
    """
    size = len(data)
    order, starts = _by_first_bytes(np.frombuffer(data, dtype=np.uint8))
    rank = np.full(size + 1, -1, dtype=np.int32)  # the last is that of what lies behind the end
    rank[order] = _group_starts(starts)
    tied = np.flatnonzero(_in_company(starts)).astype(np.int32)
    known = FIRST
    while len(tied) and known < depth:
        suffixes = order[tied]
        keys = rank[suffixes].astype(np.int64) * (size + 1)
        keys += rank[np.minimum(suffixes + known, size)] + 1
        by = np.argsort(keys)
        keys, suffixes = keys[by], suffixes[by]
        order[tied] = suffixes
        starts = _starts(keys)
        rank[suffixes] = tied[_group_starts(starts)]
        tied = tied[_in_company(starts)]
        known *= 2
    return order


def _by_first_bytes(symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort by the first bytes; give the order, and which begin a group of equal ones, both (N,)."""
    size = len(symbols)
    padded = np.zeros(size + FIRST, dtype=np.uint16)
    padded[:size] = symbols
    padded[:size] += 1
    keys = np.zeros(size, dtype=np.int64)
    for i in range(FIRST):
        keys <<= SYMBOL_BITS
        keys |= padded[i : i + size]
    order = np.argsort(keys).astype(np.int32)
    return order, _starts(keys[order])


def _starts(keys: np.ndarray) -> np.ndarray:
    """Tell of sorted keys which differ from the one before."""
    starts = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=starts[1:])
    return starts


def _group_starts(starts: np.ndarray) -> np.ndarray:
    """Give, for each, the index at which its group of equal ones starts."""
    own = np.where(starts, np.arange(len(starts), dtype=np.int32), 0)
    return np.asarray(np.maximum.accumulate(own))


def _in_company(starts: np.ndarray) -> np.ndarray:
    """Tell which are not alone in their group."""
    return np.asarray(~(starts & np.append(starts[1:], True)))
