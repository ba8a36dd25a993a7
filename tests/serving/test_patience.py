"""Slow, rude and absent clients: they lose their connection, the others do not notice."""

import contextlib
import json
import socket
import statistics
import threading
import time

import httpx
import pytest

from charlm.serving.options import Limits
from charlm.serving.orders import Busy, Failure, Piece
from tests.serving.conftest import running, wait_for

QUICK = Limits(header_seconds=0.5, body_seconds=0.5, write_seconds=0.5)


class Endless:
    """An engine whose every sample goes on until it is cancelled, with counters."""

    def __init__(self, pause=0.002, piece="word " * 4):
        self.pause, self.piece = pause, piece
        self.begun, self.cancelled, self.written = 0, 0, 0

    def complete(self, order, receive):
        ticket = _Ticket(self)
        self.begun += 1

        def write():
            while not ticket.over.wait(self.pause):
                self.written += 1
                receive(Piece(0, self.piece, generated=1))

        threading.Thread(target=write, daemon=True).start()
        return ticket

    def suggest(self, text, k, receive):
        raise Busy(7.2)

    def close(self, seconds):
        pass


class _Ticket:
    def __init__(self, engine):
        self.engine, self.over = engine, threading.Event()

    def cancel(self):
        if not self.over.is_set():
            self.over.set()
            self.engine.cancelled += 1


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def request_bytes(**body):
    data = json.dumps({"prompt": "x", "max_tokens": 1000, **body}).encode()
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(data) + data


@pytest.fixture
def endless(small_model):
    engine = Endless()
    with running(small_model, engine=engine, limits=QUICK) as server:
        yield server, engine


def test_a_slow_head_is_cut_off(endless):
    server, _ = endless
    with connect(server) as one, connect(server) as other:
        began = time.monotonic()
        one.sendall(b"GET /hea")
        assert one.recv(100) == b"" and other.recv(100) == b""  # one never said anything
        assert 0.3 < time.monotonic() - began < 5


def test_a_slow_second_head_is_cut_off_too(endless):
    server, _ = endless
    with connect(server) as one:
        one.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /he")
        data = b""
        while piece := one.recv(4096):
            data += piece
        assert data.count(b"HTTP/1.1 200") == 1


def test_a_slow_body_is_refused_and_cut_off(endless):
    server, _ = endless
    with connect(server) as one:
        one.sendall(request_bytes()[:-5])
        answer = b""
        while piece := one.recv(4096):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 408")


def test_who_never_reads_a_stream_is_dropped(small_model):
    engine = Endless(pause=0, piece="x" * 50_000)
    with running(small_model, engine=engine, limits=QUICK) as server, connect(server) as one:
        one.sendall(request_bytes(stream=True))
        wait_for(lambda: engine.cancelled == 1)


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_is_written_for_no_more(endless, stream):
    server, engine = endless
    for number in range(1, 6):
        with connect(server) as one:
            one.sendall(request_bytes(stream=stream))
            wait_for(lambda n=number: engine.begun == n)
            if stream:
                one.recv(4096)
        wait_for(lambda n=number: engine.cancelled == n)
    written = engine.written
    time.sleep(0.05)
    assert engine.written <= written + 1


def test_a_full_queue_answers_at_once_when_to_come_again(endless):
    server, _ = endless
    with server.client() as client:
        client.get("/health")
        began = time.monotonic()
        answer = client.post("/v1/suggest", json={"text": "x"})
        assert time.monotonic() - began < 0.5
    assert answer.status_code == 429 and answer.headers["retry-after"] == "8"


class Failing(Endless):
    """An engine that fails after a piece."""

    def complete(self, order, receive):
        receive(Piece(0, "a piece", generated=1))
        receive(Failure("the model failed"))
        return _Ticket(self)


def test_a_stream_that_fails_says_so_and_ends(small_model):
    with running(small_model, engine=Failing()) as server, server.client() as client:
        streamed = client.post("/v1/completions", json={"prompt": "x", "stream": True})
        assert streamed.status_code == 200 and "a piece" in streamed.text
        last = streamed.text.strip().split("\n\n")[-1]
        assert json.loads(last.removeprefix("data: "))["error"]["message"] == "the model failed"
        whole = client.post("/v1/completions", json={"prompt": "x"})
        assert whole.status_code == 500
        assert whole.json()["error"]["type"] == "server_error"
        assert client.get("/health").status_code == 200


def test_a_silent_stream_gives_a_sign_of_life(small_model, monkeypatch):
    monkeypatch.setattr("charlm.serving.work.PING_SECONDS", 0.05)
    with (
        running(small_model, engine=Endless(pause=30)) as server,
        server.client() as client,
        client.stream("POST", "/v1/completions", json={"prompt": "x", "stream": True}) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines).startswith(":")


def test_two_hundred_slow_clients_leave_an_honest_one_alone(server):
    def latency(client):
        began = time.perf_counter()
        body = {"prompt": "The cat", "max_tokens": 20, "seed": 1}
        assert client.post("/v1/completions", json=body).status_code == 200
        return time.perf_counter() - began

    with server.client() as client:
        latency(client)
        alone = statistics.median(latency(client) for _ in range(15))
        with contextlib.ExitStack() as stack:
            slow = [stack.enter_context(connect(server)) for _ in range(200)]
            for one in slow:
                one.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: local")
            for one in slow[::4]:
                one.sendall(b"h")
            beside = statistics.median(latency(client) for _ in range(15))
    assert beside < 2 * alone + 0.02


def test_senseless_bytes_get_an_answer_and_do_no_harm(server):
    for data in (
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /" + b"x" * 30_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"\n" * 100,
    ):
        with connect(server) as one, contextlib.suppress(ConnectionError):
            one.sendall(data)
            one.shutdown(socket.SHUT_WR)
            answer = one.recv(4096)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), data
    with server.client() as client:
        assert client.get("/health").status_code == 200


def test_requests_sent_behind_one_another_are_answered_in_turn(server):
    one = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connect(server) as own:
        own.sendall(one * 5)
        data = b""
        while data.count(b'{"status":"ok"}') < 5:
            piece = own.recv(4096)
            assert piece
            data += piece


def test_too_many_connections_are_closed(small_model):
    with running(small_model, limits=Limits(max_connections=5)) as server:
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(connect(server))
            time.sleep(0.1)
            with connect(server) as one, contextlib.suppress(ConnectionResetError):
                assert one.recv(10) == b""

        def answers():
            with contextlib.suppress(httpx.TransportError), server.client() as client:
                return client.get("/health").status_code == 200

        wait_for(answers)
