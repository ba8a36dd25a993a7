"""Completions while they grow: many at a time, left, failing, stopped (F3, F9, F14, F17)."""

import asyncio
import contextlib
import json
import threading
import time

import httpx
import numpy as np
import pytest

from charlm.serving.orders import Order
from tests.serving.running import NAME, running
from tests.serving.stand_in import CHAR, SamplingOptions, StandIn, alone


@pytest.fixture(scope="module")
def server():
    with running() as server:
        yield server


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.address, timeout=20) as client:
        yield client


def events(text):
    """Give the data of a stream's events."""
    blocks = text.split("\n\n")
    assert blocks.pop() == ""
    found = [block.removeprefix("data: ") for block in blocks if not block.startswith(":")]
    return [data if data == "[DONE]" else json.loads(data) for data in found]


def stream(client, **fields):
    return events(client.post("/v1/completions", json={"stream": True} | fields).text)


def texts(parts):
    found = {}
    for part in parts:
        for choice in part["choices"]:
            found[choice["index"]] = found.get(choice["index"], "") + choice["text"]
    return [found[index] for index in sorted(found)]


ASK = {
    "prompt": ["the ", "a", "th"],
    "n": 2,
    "max_tokens": 12,
    "seed": 5,
    "stop": ["t."],
    "logprobs": 2,
}


def test_a_stream_comes_to_the_same_as_one_answer(client):
    for fields in (ASK, ASK | {"echo": True}, ASK | {"logprobs": None}):
        whole = client.post("/v1/completions", json=fields).json()
        *parts, done = stream(client, stream_options={"include_usage": True}, **fields)
        assert done == "[DONE]" and parts[-1]["choices"] == []
        assert parts[-1]["usage"] == whole["usage"]
        assert all(part["usage"] is None for part in parts[:-1])
        assert texts(parts) == [choice["text"] for choice in whole["choices"]]
        assert len({(part["id"], part["created"], part["model"]) for part in parts}) == 1
        for choice in whole["choices"]:
            own = [c for part in parts for c in part["choices"] if c["index"] == choice["index"]]
            assert [c["finish_reason"] for c in own if c["finish_reason"]] == [
                choice["finish_reason"]
            ]
            for name, values in (choice["logprobs"] or {}).items():
                assert [v for c in own for v in c["logprobs"][name]] == values


def test_choices_are_numbered_prompt_by_prompt(client):
    whole = client.post("/v1/completions", json=ASK | {"echo": True}).json()
    assert [choice["index"] for choice in whole["choices"]] == list(range(6))
    for choice in whole["choices"]:
        assert choice["text"].startswith(ASK["prompt"][choice["index"] // 2])
    assert whole["usage"]["prompt_tokens"] == len("".join(ASK["prompt"]))


def test_without_being_asked_a_stream_tells_no_usage(client):
    *parts, done = stream(client, prompt="a", max_tokens=2)
    assert done == "[DONE]" and all("usage" not in part for part in parts)


def test_headers_of_a_stream(client):
    with client.stream("POST", "/v1/completions", json={"prompt": "a", "stream": True}) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"


def test_a_prompt_may_be_text_or_ids(client):
    ids = CHAR.encode("the ").tolist()
    forms = ["the ", ["the "], ids, [ids]]
    found = [client.post("/v1/completions", json={"prompt": p, "seed": 1}).json() for p in forms]
    assert len({answer["choices"][0]["text"] for answer in found}) == 1
    assert {answer["usage"]["prompt_tokens"] for answer in found} == {4}


def test_an_empty_text_is_a_prompt(client):
    answer = client.post("/v1/completions", json={"prompt": "", "max_tokens": 3}).json()
    assert answer["usage"] == {"prompt_tokens": 0, "completion_tokens": 3, "total_tokens": 3}


def test_echo_alone_scores_a_text(client):
    fields = {"prompt": "the cat", "echo": True, "max_tokens": 0, "logprobs": 0}
    (choice,) = client.post("/v1/completions", json=fields).json()["choices"]
    assert choice["text"] == "the cat" and choice["finish_reason"] == "length"
    assert choice["logprobs"]["tokens"] == list("the cat")
    assert choice["logprobs"]["token_logprobs"][0] is choice["logprobs"]["top_logprobs"][0] is None
    for own, top in zip(
        *(choice["logprobs"][n][1:] for n in ("token_logprobs", "top_logprobs")), strict=True
    ):
        assert list(top.values()) == [own]
    assert choice["logprobs"]["text_offset"] == list(range(7))


def test_suggestions_have_the_form_of_the_command(client):
    answer = client.post("/v1/suggest", json={"text": "the c", "k": 2}).json()
    assert (
        list(answer) == ["text", "suggestions", "unexplored", "unsearched"]
        and answer["text"] == "the c"
    )
    assert list(answer["suggestions"][0]) == ["word", "completion", "probability"]
    assert len(answer["suggestions"]) == 2
    assert len(client.post("/v1/suggest", json={"text": "the c"}).json()["suggestions"]) <= 5


def test_f17_fifty_streams_at_a_time_are_each_what_they_are_alone(server):
    asked = [{"prompt": "the cat"[: n % 7 + 1], "seed": n, "max_tokens": 20} for n in range(50)]

    async def all_of_them():
        limits = httpx.Limits(max_connections=60)
        async with httpx.AsyncClient(base_url=server.address, limits=limits, timeout=30) as client:
            sent = [client.post("/v1/completions", json={"stream": True} | ask) for ask in asked]
            return await asyncio.gather(*sent)

    for ask, answer in zip(asked, asyncio.run(all_of_them()), strict=True):
        prompt = CHAR.encode(ask["prompt"]).astype(np.int64)
        order = Order(prompt, SamplingOptions(), ask["max_tokens"], seed=ask["seed"])
        assert texts(events(answer.text)[:-1]) == alone(order, server.engine)


def wait_for(condition, seconds=5.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("silent", [0.0, 60.0])
def test_f3_when_a_client_leaves_its_work_stops_within_a_step(streaming, silent):
    engine = StandIn()
    engine.pause, engine.silent = 0.05, silent
    body = {"prompt": "a", "max_tokens": 1000, "stream": streaming}
    with running(engine) as server:
        for _ in range(5):
            with contextlib.suppress(httpx.ReadTimeout):
                timeout = httpx.Timeout(5, read=0.2)
                with httpx.stream(
                    "POST", server.address + "v1/completions", json=body, timeout=timeout
                ) as answer:
                    assert streaming
                    if not silent:
                        next(answer.iter_lines())
            wait_for(lambda: not engine.jobs, 2)
            steps = engine.steps
            time.sleep(0.15)
            assert engine.steps == steps


def test_f3_a_client_that_leaves_while_it_waits_is_not_worked_for():
    engine = StandIn(most=1)
    engine.pause = 0.02
    with running(engine) as server:
        ahead = threading.Thread(target=ask, args=(server, {"prompt": "a", "max_tokens": 60}))
        ahead.start()
        wait_for(lambda: engine.jobs)
        with pytest.raises(httpx.ReadTimeout):
            ask(server, {"prompt": "a"}, timeout=0.1)
        ahead.join()
        wait_for(lambda: not engine.jobs)
        assert engine.steps <= 65


def ask(server, body, **keywords):
    return httpx.post(server.address + "v1/completions", json=body, **{"timeout": 30} | keywords)


def test_f9_more_than_may_wait_are_sent_away_at_once():
    engine = StandIn(most=1, waiting=3)
    engine.pause = 0.02
    with running(engine) as server:
        body = {"prompt": "a", "max_tokens": 100}
        waiting = [threading.Thread(target=ask, args=(server, body)) for _ in range(4)]
        for thread in waiting:
            thread.start()
        wait_for(lambda: len(engine.jobs) == 4)
        with httpx.Client(base_url=server.address) as client:
            client.get("/health")
            for fields in ({}, {"stream": True}, {"prompt": ["a"] * 3}):
                began = time.perf_counter()
                answer = client.post("/v1/completions", json=body | fields)
                seconds = time.perf_counter() - began
                assert answer.status_code == 429 and answer.headers["retry-after"] == "2"
                assert answer.json()["error"]["type"] == "rate_limit_error"
                assert seconds < 0.25  # 0.05 where nothing else runs
            answer = client.post("/v1/suggest", json={"text": "a"})
            assert answer.status_code == 429
        engine.pause = 0.0
        for thread in waiting:
            thread.join()
        assert ask(server, body).is_success


def test_f14_a_model_that_fails_ends_its_stream_with_an_error_and_nothing_else():
    engine = StandIn()
    with running(engine) as server, httpx.Client(base_url=server.address) as client:
        engine.fail_at = 5
        *parts, last = stream(client, prompt="a", max_tokens=9)
        assert last["error"]["type"] == "server_error" and "[DONE]" not in parts
        assert len(texts(parts)[0]) == 5
        answer = client.post("/v1/completions", json={"prompt": "a", "max_tokens": 9})
        assert answer.status_code == 500 and answer.json()["error"]["code"] == "model_failed"
        engine.fail_at = None
        assert client.post("/v1/completions", json={"prompt": "a"}).is_success


def test_a_request_that_takes_too_long_is_ended():
    engine = StandIn()
    engine.pause = 0.05
    with running(engine, request_seconds=0.5) as server:
        answer = ask(server, {"prompt": "a", "max_tokens": 1000})
        assert answer.status_code == 504 and answer.headers["x-should-retry"] == "false"
        with httpx.Client(base_url=server.address) as client:
            *_, last = stream(client, prompt="a", max_tokens=1000)
        assert last["error"]["code"] == "too_late"
        wait_for(lambda: not engine.jobs)


def test_a_silent_stream_is_pinged():
    engine = StandIn()
    engine.silent = 0.7
    with running(engine, ping_seconds=0.2) as server:
        text = ask(server, {"prompt": "a", "stream": True, "max_tokens": 2}).text
    assert 2 <= text.count(": ping\n\n") <= 4 and text.endswith("data: [DONE]\n\n")


def test_a_stream_that_is_read_late_comes_in_fewer_and_larger_events():
    with running() as server, httpx.Client(base_url=server.address) as client:
        fields = {"prompt": "a", "max_tokens": 1024, "n": 8, "logprobs": 5, "seed": 3}
        with client.stream("POST", "/v1/completions", json=fields | {"stream": True}) as answer:
            time.sleep(1.0)
            parts = events(answer.read().decode())
        assert texts(parts[:-1]) == texts([client.post("/v1/completions", json=fields).json()])


def test_when_the_server_stops_what_goes_on_is_ended_at_the_deadline():
    engine = StandIn()
    engine.pause = 0.05
    with running(engine, stop_seconds=1.0) as server:
        found = []
        body = {"prompt": "a", "max_tokens": 1000, "stream": True}
        threads = [
            threading.Thread(target=lambda each=each: found.append(ask(server, each)))
            for each in (body, body | {"stream": False}, {"prompt": "a", "max_tokens": 10})
        ]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(engine.jobs) == 3)
        began = time.monotonic()
        server.server.should_exit = True
        for thread in threads:
            thread.join()
        assert 0.5 < time.monotonic() - began < 5
    short, *cut = sorted(found, key=lambda answer: len(answer.text) * (answer.status_code == 200))
    codes = sorted(answer.status_code for answer in found)
    assert codes == [200, 200, 503]
    assert any("the server was stopped" in answer.text for answer in (short, *cut))
    with pytest.raises(httpx.ConnectError):
        ask(server, body)


def test_a_request_that_comes_while_the_server_stops_hears_so():
    engine = StandIn()
    engine.pause = 0.05
    with running(engine, stop_seconds=2.0) as server, server.connect() as late:
        body = {"prompt": "a", "max_tokens": 1000}
        other = threading.Thread(target=ask, args=(server, body))
        sent = json.dumps(body).encode()
        head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
        late.sendall(f"{head}\r\nContent-Length: {len(sent)}\r\n\r\n".encode())
        other.start()
        wait_for(lambda: len(engine.jobs) == 1)
        server.server.should_exit = True
        wait_for(lambda: engine.closing)
        late.sendall(sent)
        with late.makefile("rb") as answers:
            answer = answers.read().decode()
        other.join()
    assert answer.startswith("HTTP/1.1 503 ") and "the server is stopping" in answer


def test_models_and_health(client):
    assert client.get("/health").json() == {"status": "ok"}
    (model,) = client.get("/v1/models").json()["data"]
    assert model["id"] == NAME and model["object"] == "model"
