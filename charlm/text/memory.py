"""The process's memory: what libraries have freed goes back to the system, or stays at hand."""

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# of glibc's malloc.h; the values are what the thresholds grow to at most by themselves
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
USUAL_TRIM_THRESHOLD, USUAL_MMAP_THRESHOLD = 64 << 20, 32 << 20
SMALL = 12 << 20  # bytes that are worth giving back at once: below, that takes too long
MOST_TRIM_THRESHOLD, MOST_MMAP_THRESHOLD = (1 << 31) - 1, 1 << 30


def return_freed_memory() -> None:
    """Free what nothing refers to, and give freed memory back where the C library can (glibc).

    It otherwise keeps hundreds of megabytes for a while after a large computation, during which
    other processes may need them.
    """
    gc.collect()
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep what is freed for the next who asks, as the same large arrays are made again and again.

    glibc gives arrays of many megabytes back to the system at once, and gets them again page by
    page, each filled with zeros: a tenth or more of the time that training takes.
    """
    tune = _of_glibc("mallopt")
    most = MOST_MMAP_THRESHOLD, USUAL_MMAP_THRESHOLD  # an old glibc refuses the first
    if tune is None or not any(tune(M_MMAP_THRESHOLD, threshold) for threshold in most):
        yield
        return
    tune(M_TRIM_THRESHOLD, MOST_TRIM_THRESHOLD)
    try:
        yield
    finally:
        tune(M_MMAP_THRESHOLD, USUAL_MMAP_THRESHOLD)
        tune(M_TRIM_THRESHOLD, USUAL_TRIM_THRESHOLD)
    return_freed_memory()  # an error is told without this delay


@contextmanager
def freed_memory_returned() -> Iterator[None]:
    """Within `freed_memory_kept`, give back what is freed: where a bound on memory matters more."""
    tune = _of_glibc("mallopt")
    if tune is not None:
        tune(M_MMAP_THRESHOLD, SMALL)
        tune(M_TRIM_THRESHOLD, 2 * SMALL)
    return_freed_memory()
    try:
        yield
    finally:
        return_freed_memory()
        if tune is not None:
            most = MOST_MMAP_THRESHOLD, USUAL_MMAP_THRESHOLD
            any(tune(M_MMAP_THRESHOLD, threshold) for threshold in most)
            tune(M_TRIM_THRESHOLD, MOST_TRIM_THRESHOLD)


def _of_glibc(name: str) -> Callable[..., int] | None:
    """Give a function of the C library, where it is glibc."""
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), name, None)
