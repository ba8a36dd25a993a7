"""One connection, and how long its client may take: uvicorn waits for slow ones without an end.

Deadlines are looked at now and then (`look`), and need no timers: for the head of a request, for
its body, for what was sent to be read, and for all of it.
"""

import asyncio
from contextlib import suppress
from enum import Enum
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from charlm.serving.options import ServeOptions

GRACE = 2.0  # seconds in which the application may refuse what is late itself
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Phase(Enum):
    """What a connection waits for; HEAD and IDLE ones cost nothing and can be given up."""

    IDLE = "the next request"
    HEAD = "the rest of a request's head"
    BODY = "the rest of its body"
    ANSWER = "the answer"


class Connection(H11Protocol):
    """A connection over HTTP/1.1 that is cut where its client takes too long."""

    def __init__(
        self,
        options: ServeOptions,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._options = options
        reading = options.write_seconds + GRACE
        self._patience = {
            Phase.IDLE: options.idle_seconds
            + reading,  # uvicorn closes it, but waits till all is read
            Phase.HEAD: options.header_seconds,
            Phase.BODY: options.body_seconds + GRACE,
            Phase.ANSWER: options.request_seconds + reading,
        }
        self._phase, self._since = Phase.HEAD, self.loop.time()
        self._unread, self._unread_since = 0, self._since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; where there are too many, the idlest is closed for it."""
        super().connection_made(transport)
        if len(self.connections) > self._options.connections:
            everyone = [each for each in self.connections if isinstance(each, Connection)]
            min(everyone, key=Connection.worth).cut()

    def worth(self) -> tuple[bool, float]:
        """Order connections by how much would be lost with them."""
        return self._phase in (Phase.BODY, Phase.ANSWER), self._since

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        if self._phase is Phase.IDLE:
            self._enter(Phase.HEAD)
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """Go on to the next request."""
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._enter(Phase.IDLE)
        self._follow()

    def shutdown(self) -> None:
        """End after what is going on."""
        try:
            super().shutdown()
        except h11.LocalProtocolError:  # it has ended already
            self.transport.close()

    def look(self, now: float) -> None:
        """Cut the connection where its client has taken too long."""
        if now - self._since > self._patience[self._phase]:
            if self._phase is Phase.HEAD:
                self._tell_too_slow()
            else:
                self.cut()
        unread = self.transport.get_write_buffer_size()
        if not unread or unread < self._unread:  # it reads, be it slowly
            self._unread_since = now
        self._unread = unread
        if now - self._unread_since > self._options.write_seconds:
            self.cut()

    def cut(self) -> None:
        """Close it at once, whatever is underway."""
        self.transport.abort()

    def _tell_too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(TOO_SLOW)
            with suppress(h11.LocalProtocolError):
                self.conn.send(h11.ConnectionClosed())
            self.transport.close()

    def _follow(self) -> None:
        """Enter the phase that the protocol is in."""
        states = {h11.IDLE: Phase.HEAD, h11.SEND_BODY: Phase.BODY}
        phase = states.get(self.conn.their_state, Phase.ANSWER)
        if phase is not self._phase and (self._phase, phase) != (Phase.IDLE, Phase.HEAD):
            self._enter(phase)

    def _enter(self, phase: Phase) -> None:
        self._phase, self._since = phase, self.loop.time()
