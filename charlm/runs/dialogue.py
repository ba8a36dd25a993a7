"""What a run hears from its user and tells in turn: requests to stop, and lines."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Protocol, TextIO

Tell = Callable[[str], None]


class Stop(Protocol):
    """What can ask a training loop to end."""

    def training(self) -> AbstractContextManager[None]:
        """Mark the part in which a request is honoured."""

    def requested(self) -> bool:
        """Tell whether there was a request."""


class NeverStop:
    """Never asks for an end."""

    def training(self) -> AbstractContextManager[None]:
        """Mark nothing."""
        return nullcontext()

    def requested(self) -> bool:
        """Tell that there was none."""
        return False


def teller(stream: TextIO | None) -> Tell:
    """Make a function that prints lines to a stream, as long as somebody reads it."""

    def tell(line: str) -> None:
        if stream is not None:
            with suppress(OSError):  # nobody reads it any more
                print(line, file=stream, flush=True)

    return tell
