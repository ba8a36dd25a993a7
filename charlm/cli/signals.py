"""How a run is stopped from outside: SIGINT (Ctrl-C), SIGTERM, SIGHUP.

While a model is being trained the first signal only asks: the loop ends after its step and what
was learned is saved. Everywhere else, and the second time, it ends the program at once. Saving is
safe from both: a checkpoint is there as a whole or not at all.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopped(BaseException):
    """A signal ends the program."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class StopRequest:
    """Remembers the signal that asked a training loop to end."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._training = False

    @contextmanager
    def training(self) -> Iterator[None]:
        """Mark the part in which a first signal is a request and not an end."""
        self._training = True
        try:
            yield
        finally:
            self._training = False

    def requested(self) -> bool:
        """Tell whether a signal has asked for an end."""
        return self.number is not None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._training or self.number is not None:
            if _is_importing(frame):
                _leave(number)
            raise Stopped(number)
        self.number = number
        if os.environ.get("RANK", "0") not in ("", "0"):  # the first process speaks for all
            return
        name = signal.Signals(number).name
        _say(f"\n{name}: saving what was learned (again to leave at once)")


def _is_importing(frame: FrameType | None) -> bool:
    """Tell whether a module is being imported, which an exception would leave half done."""
    while frame is not None:
        if "importlib._bootstrap" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def _say(line: str) -> None:
    """Write a line to standard error past Python's own buffers, which may be in use just now.

    Who has hung up is told nothing, and that must not keep the rest from being done.
    """
    with suppress(OSError):
        os.write(2, f"{line}\n".encode())


def _leave(number: int) -> None:
    """End the program without unwinding; what it left half made is removed by the next one."""
    _say(f"stopped by {signal.Signals(number).name}")
    os._exit(128 + number)


@contextmanager
def stop_signals() -> Iterator[StopRequest]:
    """Listen for the signals; put the old handlers back afterwards."""
    request = StopRequest()
    before = _listen(request._handle)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_on_signals() -> None:
    """Let the signals end the program quietly while it is only being loaded."""
    _listen(lambda number, frame: _leave(number))


def _listen(handle: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Set a handler; give the ones that were there. A hang-up that is ignored (nohup) stays so."""
    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    return {
        number: signal.signal(number, handle)
        for number in numbers
        if signal.Signals(number).name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN
    }
