"""Where the program starts: signals are heeded before anything that takes time is imported."""

import os
import sys

from charlm.cli.signals import leave_on_signals


def start() -> None:
    """Load the command line and run it."""
    leave_on_signals()
    open_closed_streams()
    from charlm.cli.main import entry_point

    entry_point()


def open_closed_streams() -> None:
    """Let what is written to a closed stream go nowhere, and not into the next file opened."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
