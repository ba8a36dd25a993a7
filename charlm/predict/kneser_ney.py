"""Modified Kneser-Ney smoothing, interpolated: from ids to the tables of an n-gram model.

Chen & Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling" (TR-10-98),
section 4.2.6. With a the count of an n-gram (how often it stands in the text, for the longest and
for those at a document's beginning; for others, after how many different ids it stands), h its
context, h' the same without its first id, and one discount D for each of a = 1, 2 and 3 or more:

    p(w | h) = max(a(h w) - D, 0) / sum_v a(h v) + left(h) p(w | h')
    left(h) = sum_v min(a(h v), D) / sum_v a(h v)

and below single ids all are equally probable. Counts agree with KenLM's (Heafield et al. 2013).
Legend: L length of the text, V vocabulary, n length of n-grams, M n-grams of a length.
"""

from dataclasses import dataclass, replace

import numpy as np

from charlm.predict.ngram import BYTES, UNSEEN, NgramTable

FALLBACK = (0.5, 1.0, 1.5)  # discounts where a text has no n-grams of some count: KenLM's too
MOST_BYTES = 128_000_000  # of the tables


@dataclass(frozen=True)
class _Level:
    """The n-grams of one length in a text.

    keys:    (M,), sorted
    raw:     (M,) how often each stands there
    shorter: (M,) the number of the (n - 1)-gram without the first id
    numbers: (L,) int32, of the n-gram that ends at each position, or UNSEEN
    """

    keys: np.ndarray
    raw: np.ndarray
    shorter: np.ndarray
    numbers: np.ndarray


def estimate(
    ids: np.ndarray,
    boundaries: np.ndarray,
    vocab_size: int,
    order: int,
    most_bytes: int = MOST_BYTES,
) -> list[NgramTable]:
    """Make the tables for n-grams of 1 to `order` ids, or fewer where they would be too large.

    ids: (L,), documents with a boundary before each and one after the last
    boundaries: (D + 1,) their positions; no n-gram reaches over one
    """
    assert order >= 1 and len(ids) > 1 and len(boundaries) > 1
    depth = _depths(boundaries, len(ids))
    level, size = _single_ids(ids, vocab_size), BYTES * vocab_size
    tables: list[NgramTable] = []
    log_probs = np.full(1, -np.log(vocab_size))  # of no id at all: all are equally probable
    for length in range(1, order + 1):
        longer = _longer(level, ids, depth, length, vocab_size) if length < order else None
        if longer is not None:
            size += BYTES * len(longer.keys)
            if size > most_bytes:
                longer = None
        counts = level.raw if longer is None else _continuations(level, longer, depth, length)
        log_probs, log_left = _smooth(level, counts, log_probs, vocab_size)
        if tables:
            tables[-1] = replace(tables[-1], log_backoff=log_left)
        tables.append(NgramTable(level.keys, log_probs.astype(np.float32), None))
        if longer is None:
            break
        level = longer
    return tables


def _depths(boundaries: np.ndarray, length: int) -> np.ndarray:
    """Count the ids from the boundary before each position to it, (L,): 0 for the first one."""
    positions = np.arange(length)
    before = np.searchsorted(boundaries, positions) - 1
    depths = np.where(before < 0, 0, positions - boundaries[np.maximum(before, 0)])
    return depths.astype(np.int32)


def _single_ids(ids: np.ndarray, vocab_size: int) -> _Level:
    """Count single ids as targets: the first boundary is none."""
    raw = np.bincount(ids[1:], minlength=vocab_size)
    nothing = np.zeros(vocab_size, dtype=np.int64)
    return _Level(np.arange(vocab_size), raw, nothing, ids.astype(np.int32))


def _longer(
    level: _Level, ids: np.ndarray, depth: np.ndarray, length: int, vocab_size: int
) -> _Level | None:
    """Find the n-grams longer by one id; None where the text has none."""
    positions = np.flatnonzero(depth >= length).astype(np.int32)
    if not len(positions):
        return None
    # sorted as one number each: an order beside the keys would take as much memory again
    bits = np.uint64(len(ids).bit_length())
    both = level.numbers[positions - 1].astype(np.uint64) * np.uint64(vocab_size)
    both += ids[positions].astype(np.uint64)
    assert int(both.max()) < 1 << (64 - int(bits)), "too many n-grams of too many ids"
    both = (both << bits) | positions.astype(np.uint64)
    both.sort()
    positions = (both & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int32)
    both >>= bits
    begins = np.concatenate([[True], both[1:] != both[:-1]])
    numbers = np.full(len(ids), UNSEEN, dtype=np.int32)
    numbers[positions] = np.cumsum(begins, dtype=np.int32) - 1
    starts = np.flatnonzero(begins)
    raw = np.diff(starts, append=len(both))
    keys = both[starts].astype(np.int64)
    return _Level(keys, raw, level.numbers[positions[starts]], numbers)


def _continuations(level: _Level, longer: _Level, depth: np.ndarray, length: int) -> np.ndarray:
    """Count the ids that each n-gram stands after; at a document's beginning, each time."""
    counts = np.bincount(longer.shorter, minlength=len(level.keys))
    if length > 1:  # a boundary alone begins a document, but is not predicted there
        beginning = level.numbers[depth == length - 1]
        counts += np.bincount(beginning[beginning != UNSEEN], minlength=len(level.keys))
    return counts


def _smooth(
    level: _Level, counts: np.ndarray, shorter: np.ndarray, vocab_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give log p of each n-gram, (M,), and of what each context leaves to shorter ones.

    counts: (M,) adjusted. shorter: log p of the (n - 1)-grams; of one for single ids, that of none.
    """
    taken = np.array([0.0, *discounts(counts)])[np.minimum(counts, 3)]
    contexts = level.keys // vocab_size
    if len(shorter) == 1:
        contexts = np.zeros_like(contexts)
    totals = np.bincount(contexts, weights=counts, minlength=len(shorter))
    left = np.bincount(contexts, weights=taken, minlength=len(shorter))
    followed = totals > 0
    left = np.where(followed, left / np.maximum(totals, 1), 1.0)
    probs = (counts - taken) / totals[contexts] + left[contexts] * np.exp(shorter[level.shorter])
    return np.log(probs), np.log(left).astype(np.float32)


def discounts(counts: np.ndarray) -> tuple[float, float, float]:
    """Give what to take from n-grams that were counted once, twice, and three times or more.

    By how many were counted 1 to 4 times (Chen & Goodman 1998, equation 26), or FALLBACK where that
    gives nothing between zero and the count itself.
    """
    one, two, three, four = (int(np.count_nonzero(counts == k)) for k in (1, 2, 3, 4))
    if not (one and two and three):
        return FALLBACK
    share = one / (one + 2 * two)
    found = (
        1 - 2 * share * two / one,
        2 - 3 * share * three / two,
        3 - 4 * share * four / three,
    )
    return found if all(0 < amount <= k for k, amount in enumerate(found, 1)) else FALLBACK
