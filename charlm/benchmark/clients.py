"""Clients of a server, all in one thread and by bare sockets: they take little beside the server.

A request is sent over a connection of its own, which the server closes after the answer.
"""

import json
import re
import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from charlm.errors import LostProcessError

SECONDS = 60.0  # of silence, after which nothing more is expected
RECEIVED = 1 << 18  # bytes at a time
GENERATED = re.compile(rb'"completion_tokens": ?(\d+)')


def complete_all(port: int, bodies: Sequence[dict[str, Any]]) -> int:
    """Send requests for completions to a server of this machine, all at a time; count the tokens.

    Raises LostProcessError for an answer that is none.
    """
    requests = [_request(port, body) for body in bodies]
    with selectors.DefaultSelector() as waiting:
        answers: dict[socket.socket, list[bytes]] = {}
        try:
            for request in requests:
                made = socket.create_connection(("127.0.0.1", port), SECONDS)
                answers[made] = []
                waiting.register(made, selectors.EVENT_READ)
                made.sendall(request)
            _receive(waiting, answers)
        finally:
            for each in answers:
                each.close()
    return sum(_count(b"".join(pieces)) for pieces in answers.values())


def wait_for(port: int) -> None:
    """Wait until a server listens; raise LostProcessError where it does not."""
    last = time.monotonic() + SECONDS
    while time.monotonic() < last:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.01)
    raise LostProcessError("the server that is to be measured does not listen")


def _request(port: int, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _receive(waiting: selectors.BaseSelector, answers: dict[socket.socket, list[bytes]]) -> None:
    """Receive until all answers have ended."""
    left = len(answers)
    while left:
        ready = waiting.select(SECONDS)
        if not ready:
            raise LostProcessError("the server that is measured does not answer")
        for key, _ in ready:
            made = key.fileobj
            assert isinstance(made, socket.socket)
            if piece := made.recv(RECEIVED):
                answers[made].append(piece)
            else:
                waiting.unregister(made)
                left -= 1


def _count(answer: bytes) -> int:
    """Count the tokens of an answer by what it says of them itself, at its end."""
    found = GENERATED.findall(answer)
    if not answer.startswith(b"HTTP/1.1 200 ") or not found:
        raise LostProcessError(f"the server that is measured answered {answer[:100]!r}")
    return int(found[-1])
