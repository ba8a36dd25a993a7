"""What the last bits of a computation depend on: NumPy, the processor, BLAS and its threads."""

import ctypes
import importlib
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

NAMES = ("NumPy", "processor", "BLAS kernels for")
LONGEST = 14  # characters of a name
UNKNOWN = "-"
_alone = threading.Lock()


def description() -> str:
    """Name NumPy's version, the processor and what BLAS takes it for, in up to 44 characters."""
    return " ".join(map(_short, (np.__version__, platform.machine(), _kernels())))


def differences(there: str, here: str) -> list[str]:
    """Say in what two descriptions differ."""
    pairs = zip(NAMES, there.split(" "), here.split(" "), strict=False)
    return [f"{name} {one} there, {other} here" for name, one, other in pairs if one != other]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let NumPy's products use one thread: with several, sums come in another order.

    Where BLAS is OpenBLAS, as in NumPy's own packages; others are left as they are. The setting is
    the whole process's: whoever else wants to come in here waits.
    """
    count, set_count = _openblas("get_num_threads"), _openblas("set_num_threads")
    with _alone:
        if count is None or set_count is None:
            yield
            return
        before = int(count())
        set_count(1)
        try:
            yield
        finally:
            set_count(before)


def _short(name: str) -> str:
    """Make a name one short word."""
    return name.replace(" ", "")[:LONGEST] or UNKNOWN


def _kernels() -> str:
    """Give the name of the processor that OpenBLAS computes for."""
    function = _openblas("get_corename")
    if function is None:
        return UNKNOWN
    function.restype = ctypes.c_char_p
    name = function()
    return name.decode("ascii", "replace") if isinstance(name, bytes) else UNKNOWN


def _openblas(name: str) -> Any:  # noqa: ANN401
    """Find a function of the OpenBLAS that NumPy uses, under any name it goes by; None if none."""
    try:
        module = importlib.import_module("numpy._core._multiarray_umath")
        library = ctypes.CDLL(str(module.__file__))  # also finds what it is linked with
    except (ImportError, OSError):
        return None
    for prefix in ("scipy_openblas_", "openblas_"):
        for suffix in ("64_", ""):
            function = getattr(library, prefix + name + suffix, None)
            if function is not None:
                return function
    return None
