"""The server itself: where it listens, how it is watched, and how it ends."""

import asyncio
import math
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from charlm.runs.dialogue import Tell
from charlm.serving.app import Served, Service, make_app
from charlm.serving.connections import Connection
from charlm.serving.listening import address_of
from charlm.serving.logs import log_discreetly
from charlm.serving.options import ServeOptions
from charlm.serving.orders import Engine

TICKS = 5  # of a tenth of a second, between two looks at all connections
LATE = 2.0  # seconds after which what could not be stopped is left behind
HEADERS = [("x-content-type-options", "nosniff")]


class Server(uvicorn.Server):
    """Serves an application until a signal ends it; that signal is raised again in the end.

    The first stops it: nothing more is accepted, what is going on ends or is cut after
    `stop_seconds`. The second leaves at once.
    """

    def __init__(
        self, app: ASGIApp, service: Service, engine: Engine, options: ServeOptions
    ) -> None:
        config = uvicorn.Config(
            app,
            http=partial(Connection, options),  # type: ignore[arg-type]
            loop="asyncio",
            ws="none",
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,
            server_header=False,
            headers=HEADERS,
            access_log=False,
            log_config=None,
            timeout_keep_alive=math.ceil(options.idle_seconds),
            timeout_graceful_shutdown=math.ceil(options.stop_seconds + LATE),
        )
        super().__init__(config)
        self._service, self._engine, self._stop_seconds = service, engine, options.stop_seconds

    async def on_tick(self, counter: int) -> bool:
        """Look at the connections now and then."""
        if counter % TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.look(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: the engine finishes or cuts its work, and so the requests end too."""
        self._service.stopping = True
        closing = threading.Thread(
            target=self._engine.close, args=(self._stop_seconds,), daemon=True
        )
        closing.start()
        await super().shutdown(sockets)
        closing.join(LATE)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen for the signals that end the server, where this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        names = ("SIGINT", "SIGTERM", "SIGHUP")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        heeded = [each for each in numbers if signal.getsignal(each) != signal.SIG_IGN]
        before = {number: signal.signal(number, self.handle_exit) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._captured_signals:
            signal.raise_signal(self._captured_signals[0])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self._captured_signals.append(sig)
        if self.should_exit:
            raise SystemExit(128 + sig)
        self.should_exit = True


def serve(
    engine: Engine,
    served: Served,
    options: ServeOptions,
    *,
    sockets: Sequence[socket.socket],
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    key: bytes | None = None,
    tell: Tell,
) -> None:
    """Serve until a signal comes, which is raised again; close sockets and engine.

    sockets: that are bound, as `listening.bind` makes them
    """
    log_discreetly(tell)
    service = Service(engine, served, options)
    app = make_app(service, hosts=(options.host, *hosts), origins=origins, key=key)
    tell(f"charlm serves '{served.name}' at {address_of(sockets[0])}  (Ctrl-C ends it)")
    tell(limits_line(options, key))
    Server(app, service, engine, options).run(list(sockets))


def limits_line(options: ServeOptions, key: bytes | None) -> str:
    """Say what is limited, in a line."""
    who = "this machine alone may ask" if key is None else "who has the key may ask"
    return (
        f"{who}; per request {options.max_prompt} tokens of prompt, {options.max_tokens} more, "
        f"n {options.max_samples}, {options.request_seconds:g} s; {options.queue} may wait"
    )
