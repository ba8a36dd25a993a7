"""Recognising that memory ran out, which PyTorch says in several ways."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from charlm.errors import OutOfMemoryError

SIGNS = (
    *("can't allocate memory", "not enough memory", "bad_alloc", "cannot allocate memory"),
    # oneDNN's words for any lack of means
    *("could not execute a primitive", "could not create a primitive"),
    *("could not create a memory", "could not initialize a memory"),
)
HINT = "try a smaller --batch, --bptt or --hidden, or close other programs"


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that there was too little memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in SIGNS)


@contextmanager
def memory_errors(doing: str) -> Iterator[None]:
    """Turn a lack of memory while `doing` something into OutOfMemoryError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(f"memory ran out while {doing}", HINT) from error
