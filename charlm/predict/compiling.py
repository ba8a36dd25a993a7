"""Functions that numba compiles, once on a machine: found again by the next process.

It needs numba, the extra `fast`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from numba import njit


def compile_for(
    function: Callable[..., Any],
    signature: Any,  # noqa: ANN401
    options: Mapping[str, Any],
) -> Callable[..., Any]:
    """Compile a function for arguments of some types, or find it compiled by another process.

    Where there is no place to keep it, it is compiled for this process alone.
    """
    make: Any = njit
    try:
        found: Callable[..., Any] = make(signature, cache=True, **options)(function)
    except Exception:  # nothing can be written, a full disk, a torn file: it can do without
        found = make(signature, **options)(function)
    return found
