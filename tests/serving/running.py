"""A server in a thread, on a port of its own, for tests; and raw words to it."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field

from charlm.serving.app import Served, Service, make_app
from charlm.serving.listening import address_of, bind
from charlm.serving.options import ServeOptions
from charlm.serving.server import Server
from tests.serving.stand_in import CHAR, StandIn

NAME = "tiny"


@dataclass
class Running:
    """What tests hold of a server."""

    engine: StandIn
    server: Server
    address: str
    port: int
    told: list = field(default_factory=list)

    def connect(self, *, receive_buffer=None):
        made = socket.socket()
        if receive_buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        made.settimeout(20)
        made.connect(("127.0.0.1", self.port))
        return made

    def raw(self, data):
        """Send bytes; give all that comes back till the connection is closed, or 1 s of silence."""
        with self.connect() as made:
            made.sendall(data)
            made.settimeout(1)
            found = b""
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                while piece := made.recv(1 << 16):
                    found += piece
            return found


@contextlib.contextmanager
def running(engine=None, *, tokenizer=CHAR, key=None, hosts=(), origins=(), **limits):
    engine = engine or StandIn()
    options = ServeOptions(port=0, **limits)
    sockets = bind(options, key)
    service = Service(engine, Served(NAME, tokenizer), options)
    app = make_app(service, hosts=hosts, origins=origins, key=key)
    server = Server(app, service, engine, options)
    port = sockets[0].getsockname()[1]
    thread = threading.Thread(target=server.run, args=(sockets,), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield Running(engine, server, address_of(sockets[0]), port)
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
        for each in sockets:
            each.close()
