"""The process's memory: what libraries have freed goes back to the system."""

import ctypes
import sys


def return_freed_memory() -> None:
    """Return what was freed to the system, where the C library can be asked to (glibc).

    It otherwise keeps hundreds of megabytes for a while after a library's large computation,
    during which other processes may need them.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
