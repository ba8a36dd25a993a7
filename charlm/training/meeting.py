"""Where the processes of a run meet: at MASTER_ADDR:MASTER_PORT, as PyTorch's "env://" has it.

Under torchrun its agent listens there. Without it the first process does, and it does so before it
prepares its text, with a socket of Python's own: PyTorch would take the memory that preparing
needs. Whoever comes meanwhile is let in by the operating system, and waits until PyTorch takes the
socket over. So finding the address has a short limit, though preparing may take long: a wrong
address shows soon, a port in use at once.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from charlm.errors import UsageError

MEETING_TIMEOUT = 300.0  # seconds
INTERVAL = 0.1  # seconds between two looks
HINT = "are MASTER_ADDR and MASTER_PORT the first process's, in all, and have all been started?"


@dataclass(frozen=True)
class Meeting:
    """Where this process meets the others of its run, and which of them it is; at first, alone.

    timeout:  seconds in which the address must be found, and in which the first must find all
    agent:    torchrun listens at the address
    listener: the socket with which the first process listens there itself, until PyTorch has it
    """

    rank: int = 0
    size: int = 1
    host: str = ""
    port: int = 0
    timeout: float = 0.0
    agent: bool = False
    listener: socket.socket | None = None

    def failed(self, why: str, hint: str = HINT) -> UsageError:
        """Make the error that the processes cannot meet."""
        return UsageError(f"the processes cannot meet at {self.host}:{self.port}: {why}", hint)


@contextmanager
def open_meeting() -> Iterator[Meeting]:
    """Find out whether there are others, and find the place; the first process keeps it open.

    Raises UsageError where the port is in use, or nobody listens there within `MEETING_TIMEOUT`.
    """
    size = _number("WORLD_SIZE", 1, smallest=1)
    if size == 1:
        yield Meeting()
        return
    rank = _number("RANK", None, largest=size - 1)
    port = _number("MASTER_PORT", None, largest=65535)
    host = os.environ.get("MASTER_ADDR", "")
    agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    meeting = Meeting(rank, size, host, port, MEETING_TIMEOUT, agent)
    if rank > 0 or agent:
        _find(meeting)
        yield meeting
    else:
        with _listen(meeting) as listener:
            _find(meeting)
            yield replace(meeting, listener=listener)


def _number(name: str, default: int | None, smallest: int = 0, largest: int = 2**31) -> int:
    """Read one of the variables that torchrun sets."""
    text = os.environ.get(name, "" if default is None else str(default))
    if text.isascii() and text.isdigit() and smallest <= int(text) <= largest:
        return int(text)
    raise UsageError(
        f"the environment variable {name} is '{text}'",
        f"for several processes it is a number of {smallest} to {largest}; torchrun sets it",
    )


def _listen(meeting: Meeting) -> socket.socket:
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    backlog = 4 * meeting.size  # each comes twice: to find the place, and to stay
    try:
        return socket.create_server(
            ("", meeting.port), family=family, dualstack_ipv6=dual, backlog=backlog
        )
    except OSError as fault:
        why = os.strerror(fault.errno or 0)
        raise meeting.failed(why, "give all processes another MASTER_PORT") from fault


def _find(meeting: Meeting) -> None:
    """Try to connect until somebody listens; a name may take a while to be known, too."""
    deadline = time.monotonic() + meeting.timeout
    while True:
        left = max(deadline - time.monotonic(), INTERVAL)
        try:
            socket.create_connection((meeting.host, meeting.port), timeout=left).close()
            return
        except (OSError, UnicodeError) as fault:
            if time.monotonic() >= deadline:
                why = getattr(fault, "strerror", None) or str(fault)
                raise meeting.failed(f"{why}, for {meeting.timeout:.0f} s") from fault
        time.sleep(INTERVAL)
