"""Where the program starts: signals are heeded before anything that takes time is imported."""

from charlm.cli.signals import leave_on_signals


def start() -> None:
    """Load the command line and run it."""
    leave_on_signals()
    from charlm.cli.main import entry_point

    entry_point()
