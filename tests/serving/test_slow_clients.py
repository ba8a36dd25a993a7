"""Clients that are slow, endless, rude or gone: nobody else waits for them (F1, F2, F16)."""

import contextlib
import json
import resource
import socket
import statistics
import threading
import time

import httpx
import pytest

from tests.serving.running import running

SOON = {"header_seconds": 0.8, "body_seconds": 0.8, "write_seconds": 1.0, "request_seconds": 8.0}
POST = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def server():
    with running(**SOON) as server:
        yield server


def until_closed(made, most=12.0):
    """Read till the other side closes; give what came and how long it took."""
    began, found = time.monotonic(), b""
    made.settimeout(most)
    with contextlib.suppress(ConnectionResetError):
        while piece := made.recv(1 << 16):
            found += piece
    return found, time.monotonic() - began


def is_well(server):
    return httpx.get(server.address + "health").is_success


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_f1_a_body_that_says_it_is_too_long_is_refused_before_it_comes(server):
    with server.connect() as made:
        made.sendall(POST + b"Content-Length: 1048577\r\n\r\n")
        assert made.recv(1 << 16).startswith(b"HTTP/1.1 413 ")
    assert is_well(server)


@pytest.mark.parametrize("told", [b"9" * 30, b"-1", b"1e3", b"1, 2", b"0x10"])
def test_f1_a_length_that_is_none_is_refused(told, server):
    answer = server.raw(POST + b"Content-Length: " + told + b"\r\n\r\n")
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 413")


def test_f1_a_body_in_chunks_is_counted_and_the_rest_is_not_kept(server):
    before = memory()
    with server.connect() as made:
        made.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(800):  # 50 MiB
                made.sendall(chunk)
            made.sendall(b"0\r\n\r\n")
        found, _ = until_closed(made)
        assert found.startswith(b"HTTP/1.1 413 ") and b"longer than 1048576 bytes" in found
    assert memory() - before < 20_000
    assert is_well(server)


def test_f1_an_upload_without_an_end_is_cut_at_the_deadline(server):
    with server.connect() as made:
        made.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() < began + 10:
                made.sendall(b"400\r\n" + b"x" * 0x400 + b"\r\n")
                time.sleep(0.005)
    assert 0.5 < time.monotonic() - began < 8


def test_f1_a_body_shorter_than_it_says_is_refused_at_the_deadline(server):
    with server.connect() as made:
        made.sendall(POST + b"Content-Length: 100\r\n\r\n{")
        found, seconds = until_closed(made)
    assert found.startswith(b"HTTP/1.1 408 ") and b"did not arrive" in found
    assert 0.5 < seconds < 5


def test_f2_a_head_that_comes_a_byte_at_a_time_is_cut_at_the_deadline(server):
    with server.connect() as made:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for byte in POST * 9:
                made.sendall(bytes([byte]))
                made.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    if b"408" in made.recv(1000):
                        break
        assert 0.5 < time.monotonic() - began < 6


def test_f2_the_second_head_on_a_connection_has_a_deadline_too(server):
    with server.connect() as made:
        made.sendall(GET)
        assert b"200 OK" in made.recv(1000)
        made.sendall(b"GET /hea")
        found, seconds = until_closed(made)
        assert b"HTTP/1.1 408 " in found and seconds < 5


def test_a_connection_on_which_nothing_is_asked_is_closed():
    with running(idle_seconds=1.0, header_seconds=0.8) as server:
        for first in (b"", GET):
            with server.connect() as made:
                made.sendall(first)
                assert until_closed(made)[1] < 5


def test_f2_a_client_that_does_not_read_its_stream_is_dropped():
    with running(**SOON) as server, server.connect(receive_buffer=4096) as made:
        body = {"prompt": "a", "n": 8, "max_tokens": 1024, "logprobs": 20, "stream": True}
        content = json.dumps(body).encode()
        made.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(content) + content)
        wait_for(lambda: server.server.server_state.connections, 5)
        wait_for(lambda: not server.server.server_state.connections, 20)
        wait_for(lambda: not server.engine.jobs, 5)
        assert is_well(server)


def wait_for(condition, seconds):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def latency(client):
    began = time.perf_counter()
    answer = client.post("/v1/completions", json={"prompt": "the ", "max_tokens": 16, "seed": 1})
    assert answer.is_success
    return time.perf_counter() - began


def test_f2_two_hundred_slow_clients_leave_an_honest_one_within_twice_its_latency():
    with running(header_seconds=30.0) as server, contextlib.ExitStack() as stack:
        client = stack.enter_context(httpx.Client(base_url=server.address))
        latency(client)
        alone = statistics.median(latency(client) for _ in range(30))
        slow = [stack.enter_context(server.connect()) for _ in range(200)]
        stop = threading.Event()

        def dawdle():
            while not stop.is_set():  # each sends a byte in a second
                for made in slow:
                    made.sendall(b"G")
                    if stop.wait(1 / len(slow)):
                        return

        thread = threading.Thread(target=dawdle)
        thread.start()
        beside = statistics.median(latency(client) for _ in range(30))
        fresh = statistics.median(
            latency(stack.enter_context(httpx.Client(base_url=server.address))) for _ in range(5)
        )
        stop.set()
        thread.join()
        assert beside <= 2 * alone and fresh <= 4 * alone + 0.05, (alone, beside, fresh)


def test_where_connections_are_too_many_the_idlest_makes_room():
    with running(connections=8, header_seconds=30.0) as server, contextlib.ExitStack() as stack:
        idle = [stack.enter_context(server.connect()) for _ in range(8)]
        for made in idle:
            made.sendall(b"GET /")
        time.sleep(0.2)
        for _ in range(3):
            assert is_well(server)
        gone = 0
        for made in idle:
            made.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                with contextlib.suppress(ConnectionResetError):
                    assert made.recv(10) == b""
                gone += 1
        assert 1 <= gone <= 3


@pytest.mark.parametrize(
    "garbage",
    [
        *(
            b"GET /\r\n\r\n",
            b"GET /health\r\n",
            b"\x00" * 500 + b"\r\n\r\n",
            b"\x16\x03\x01\x02\x00" * 9,
        ),
        *(
            b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ),
        *(b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\r\n" * 200),
        b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"x" * 8000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"x" * 80_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200_000 + b"\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nBad Header\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ],
    ids=lambda data: data[:20].decode("latin-1"),
)
def test_f16_garbage_is_refused_and_the_server_lives(garbage, server):
    answer = server.raw(garbage)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:100]
    assert is_well(server)


def test_f16_requests_sent_together_are_answered_in_order(server):
    content = b'{"prompt": "a", "max_tokens": 2}'
    one = POST + b"Content-Length: %d\r\n\r\n" % len(content) + content
    answer = server.raw((GET + one) * 20)
    assert answer.count(b"HTTP/1.1 200 OK") == 40
    assert answer.index(b'{"status":"ok"}') < answer.index(b"text_completion")


def test_an_upgrade_is_not_followed(server):
    head = GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert server.raw(head).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_sends_its_end_first_is_closed(server):
    with server.connect() as made:
        made.sendall(b"GET /he")
        made.shutdown(socket.SHUT_WR)
        assert until_closed(made)[1] < 2
