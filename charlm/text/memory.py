"""The process's memory: what libraries have freed goes back to the system."""

import ctypes
import gc
import sys


def return_freed_memory() -> None:
    """Free what nothing refers to, and give freed memory back where the C library can (glibc).

    It otherwise keeps hundreds of megabytes for a while after a large computation, during which
    other processes may need them.
    """
    gc.collect()
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
