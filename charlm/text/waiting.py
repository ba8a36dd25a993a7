"""Waiting for a long call of a library, so that a signal need not wait for it too.

Python runs signal handlers in its main thread, and only between two of its own steps. A call that
stays in foreign code for seconds is therefore made in another thread.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

INTERVAL = 0.1  # seconds in which a signal is seen

Result = TypeVar("Result")


def wait_for(function: Callable[[], Result]) -> Result:
    """Call a function that lets other threads run; give its result or raise its exception.

    An exception raised here by a signal handler ends the waiting at once; the call goes on in a
    thread that does not keep the process alive, and its result is lost. It should rarely come back
    to Python: a thread that does so while the process ends is torn off, which not every library
    survives quietly.
    """
    call = _Call(function)
    thread = threading.Thread(target=call.run, name="charlm-call", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(INTERVAL)
    return call.result()


class _Call(Generic[Result]):
    """A call in another thread, and what came of it."""

    def __init__(self, function: Callable[[], Result]) -> None:
        self._function = function
        self._results: list[Result] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Make the call."""
        try:
            self._results.append(self._function())
        except BaseException as error:
            self._error = error

    def result(self) -> Result:
        """Give what came of it."""
        if self._error is not None:
            raise self._error
        return self._results[0]
