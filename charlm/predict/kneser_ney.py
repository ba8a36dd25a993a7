"""Modified Kneser-Ney smoothing, interpolated: from ids to the tables of an n-gram model.

Chen & Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling" (TR-10-98),
section 4.2.6. With a the count of an n-gram (how often it stands in the text, for the longest and
for those at a document's beginning; for others, after how many different ids it stands), h its
context, h' the same without its first id, and one discount D for each of a = 1, 2 and 3 or more:

    p(w | h) = max(a(h w) - D, 0) / sum_v a(h v) + left(h) p(w | h')
    left(h) = sum_v min(a(h v), D) / sum_v a(h v)

and below single ids all are equally probable. Counts agree with KenLM's (Heafield et al. 2013).
N-grams left out for want of room still count: D, sums and what is left to shorter ones are those of
all (as in KenLM's --prune), and what the ones left out had falls to shorter ones too.
Legend: L length of the text, V vocabulary, n length of n-grams, M n-grams of a length.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from charlm.predict.grams import Grams, Level
from charlm.predict.ngram import BYTES, NgramTable
from charlm.text.memory import return_freed_memory

FALLBACK = (0.5, 1.0, 1.5)  # discounts where a text has no n-grams of some count: KenLM's too
MOST_BYTES = 128_000_000  # of the tables
PIECE = 1 << 20  # n-grams that are worked on at a time


@dataclass(frozen=True)
class Estimate:
    """Tables for n-grams of 1 to K ids, and the length up to which those seen once are there."""

    tables: list[NgramTable]
    whole: int


def estimate(
    ids: np.ndarray,
    boundaries: np.ndarray,
    vocab_size: int,
    order: int,
    most_bytes: int = MOST_BYTES,
    release: Callable[[], None] = lambda: None,
) -> Estimate:
    """Make the tables for n-grams of 1 to `order` ids, or fewer where they would be too large.

    Before that, n-grams seen once are left out, of the longest first. Memory: 4 bytes for each id,
    `most_bytes`, and some 70 MB.

    ids: (L,), documents with a boundary before each and one after the last
    boundaries: (D + 1,) their positions; no n-gram reaches over one
    release: gives the memory of ids that were read back, where they are mapped from a file
    """
    assert order >= 1 and len(ids) > 1 and len(boundaries) > 1
    grams = Grams(ids, boundaries, vocab_size, most_bytes // BYTES, release)
    while len(grams.levels) < order and grams.lengthen():
        pass
    levels = grams.levels
    del grams  # and with it the number of every place
    if len(ids) > PIECE:
        return_freed_memory()
    tables: list[NgramTable] = []
    probs = np.full(1, 1 / vocab_size)  # of no id at all: all are equally probable
    suffixes = np.zeros(vocab_size, dtype=np.int32)
    for length, level in enumerate(levels, start=1):
        counts, these = level.raw, suffixes
        if length < len(levels):
            suffixes = _suffixes(levels[length], level.keys, these, vocab_size)
            counts = _continuations(level.raw, levels[length].raw, suffixes)
        following = None if level.whole else _following(levels[length - 2])
        probs, log_left = _smooth(level, counts, these, probs, following, vocab_size)
        if tables:
            tables[-1] = replace(tables[-1], log_backoff=log_left)
        tables.append(NgramTable(level.keys, np.log(probs).astype(np.float32), None))
    return Estimate(tables, sum(level.whole for level in levels))


def _suffixes(longer: Level, keys: np.ndarray, suffixes: np.ndarray, vocab_size: int) -> np.ndarray:
    """Give the number of each n-gram without its first id, int32.

    keys, suffixes: of the n-grams shorter by one, among which these are
    """
    found = np.empty(len(longer), dtype=np.int32)
    bits = np.uint64(PIECE.bit_length() - 1)
    for start in range(0, len(longer), PIECE):
        contexts, ids = np.divmod(longer.keys[start : start + PIECE], vocab_size)
        contexts[:] = suffixes[contexts]
        wanted = (contexts * vocab_size + ids).view(np.uint64)
        # in their order they are found several times faster
        both = (wanted << bits) | np.arange(len(wanted), dtype=np.uint64)
        both.sort()
        places = (both & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
        found[start + places] = np.searchsorted(keys, (both >> bits).view(np.int64))
    return found


def _continuations(raw: np.ndarray, longer: np.ndarray, suffixes: np.ndarray) -> np.ndarray:
    """Count the ids that each n-gram stands after; at a document's beginning, each time.

    So each time it stands in the text, less each time but the first after the same id: those longer
    by one that were seen once make no difference.

    longer, suffixes: raw counts of the n-grams longer by one, and what they end with
    """
    again = np.flatnonzero(longer > 1)
    more = np.bincount(suffixes[again], weights=longer[again] - 1, minlength=len(raw))
    return raw - more.astype(np.int32)


def _following(level: Level) -> np.ndarray:
    """Count how often each n-gram has an id after it, (M,)."""
    following = level.raw.copy()
    numbers, times = level.ended
    np.subtract.at(following, numbers, times.astype(np.int32))
    return following


def _smooth(
    level: Level,
    counts: np.ndarray,
    suffixes: np.ndarray,
    shorter: np.ndarray,
    following: np.ndarray | None,
    vocab_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Give p of each n-gram, (M,) float64, and log of what each context leaves to shorter ones.

    counts: (M,) adjusted. suffixes: numbers of the (n - 1)-grams without the first id. shorter: p
    of the (n - 1)-grams. following: how often an id follows each; None where no n-gram is left out.
    """
    left_out = level.total - int(level.raw.sum(dtype=np.int64))
    discount = np.array([0.0, *discounts(counts, left_out)])
    probs = np.empty(len(level))
    log_left = np.zeros(len(shorter), dtype=np.float32)
    for part in _by_context(level.keys, vocab_size):
        own, contexts = counts[part], level.keys[part] // vocab_size
        first = int(contexts[0])
        contexts -= first
        taken = discount[np.minimum(own, 3)]
        totals = np.bincount(contexts, weights=own)
        left = np.bincount(contexts, weights=taken)
        some = slice(first, first + len(totals))
        if following is not None:
            once = following[some] - np.bincount(contexts, weights=level.raw[part])
            totals, left = totals + once, left + once
        left = np.where(totals > 0, left / np.maximum(totals, 1), 1.0)
        log_left[some] = np.log(left)
        probs[part] = (own - taken) / totals[contexts] + left[contexts] * shorter[suffixes[part]]
    return probs, log_left


def _by_context(keys: np.ndarray, vocab_size: int) -> Iterator[slice]:
    """Cut n-grams into pieces, those of a context together."""
    start = 0
    while start < len(keys):
        end = min(start + PIECE, len(keys)) - 1
        after = (keys[end] // vocab_size + 1) * vocab_size
        end = int(np.searchsorted(keys, after))
        yield slice(start, end)
        start = end


def discounts(counts: np.ndarray, once: int = 0) -> tuple[float, float, float]:
    """Give what to take from n-grams that were counted once, twice, and three times or more.

    By how many were counted 1 to 4 times (Chen & Goodman 1998, equation 26), or FALLBACK where that
    gives nothing between zero and the count itself.

    once: how many more were counted once
    """
    one, two, three, four = (int(np.count_nonzero(counts == k)) for k in (1, 2, 3, 4))
    one += once
    if not (one and two and three):
        return FALLBACK
    share = one / (one + 2 * two)
    found = (
        1 - 2 * share * two / one,
        2 - 3 * share * three / two,
        3 - 4 * share * four / three,
    )
    return found if all(0 < amount <= k for k, amount in enumerate(found, 1)) else FALLBACK
