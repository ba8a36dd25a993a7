"""uvicorn's connections with what they lack: patience that ends.

A client that sends its request's head too slowly, or leaves its answer unread, or is one too many,
loses its connection; the others do not notice.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from charlm.serving.options import Limits


class PatientProtocol(H11Protocol):
    """A connection with deadlines; `limits` is set by `patient_protocol`."""

    limits: Limits
    _head: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            transport.abort()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._head, self._unread = _cancelled(self._head), _cancelled(self._unread)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for a client that does not read, but not forever."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._unread = _cancelled(self._unread)
        super().resume_writing()

    def on_response_complete(self) -> None:
        """End a request; what is idle then has uvicorn's own time-out."""
        super().on_response_complete()
        if self.cycle is not None and not self.cycle.response_complete:  # the next one came before
            self._head = _cancelled(self._head)

    def _watch(self) -> None:
        """Expect the head of a request, unless one is being answered."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering or self.transport.is_closing():
            self._head = _cancelled(self._head)
        elif self._head is None:
            self._head = self.loop.call_later(self.limits.header_seconds, self.transport.abort)


def patient_protocol(limits: Limits) -> type[PatientProtocol]:
    """Give the protocol with its limits; uvicorn makes one for each connection."""
    return type("LimitedProtocol", (PatientProtocol,), {"limits": limits})


def _cancelled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Cancel a timer, if there is one; give what stands in its place then."""
    if timer is not None:
        timer.cancel()
    return None
