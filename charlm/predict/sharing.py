"""Work on many streams that several threads share, as many as NumPy multiplies with.

It is for compiled functions, which let go of Python's lock. Streams are cut into pieces; who is
free takes the next one. A thread that the machine has no processor for holds up nobody for longer
than a piece takes.
"""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

PIECE, LEAST = 16, 8  # streams: fewer would read the weights too often
WORTH = 1 << 26  # operations, about, from which it pays to wake other threads


def share(streams: int, work: Callable[[slice], object], each: int) -> None:
    """Let threads do a work for all streams, piece by piece; return when all of it is done.

    each: operations of one stream, about: where all are few, this thread does them
    """
    size = PIECE if streams >= 2 * PIECE else LEAST
    threads = min(count_threads(), -(-streams // size))
    if threads < 2 or streams * each < WORTH:
        work(slice(0, streams))
        return
    pieces = deque(slice(start, start + size) for start in range(0, streams, size))

    def some() -> None:
        while pieces:
            try:
                piece = pieces.popleft()
            except IndexError:  # another has taken the last one just now
                return
            work(piece)

    others = [_pool().submit(some) for _ in range(threads - 1)]
    try:
        some()
    finally:
        for other in others:
            if not other.cancel():  # who has not begun by now need not
                other.result()


@cache
def count_threads() -> int:
    """Count the threads that may be used: what is set for NumPy's products, or all processors."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        said = os.environ.get(name, "")
        if said.isdecimal() and int(said):
            return int(said)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count_threads(), thread_name_prefix="charlm streams")
