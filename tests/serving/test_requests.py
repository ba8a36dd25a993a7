"""Requests that are wrong: refused in OpenAI's form, by the field's name, and never by a 5xx."""

import gc
import json
import math
import os
import random
import string

import httpx
import pytest

from charlm.serving.app import make_app
from charlm.serving.facts import facts_of
from charlm.serving.options import Limits, ServeOptions
from charlm.serving.orders import Failure, Piece

BAD_REQUESTS = int(os.environ.get("CHARLM_BAD_REQUESTS", "10000"))


def post(client, body, path="/v1/completions", kind="application/json"):
    data = body if isinstance(body, bytes | str) else json.dumps(body)
    return client.post(path, content=data, headers={"content-type": kind})


def refused(response, status=400, param=None):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"]
    if param is not None:
        assert error["param"] == param and param.split(".")[0] in error["message"]
    return error["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"[" * 100_000,
        b'{"prompt": ' + b"[" * 100_000,
        b'{"prompt": "x", "temperature": NaN}',
        b'{"prompt": "x", "temperature": Infinity}',
        b'{"prompt": "x", "temperature": 1e999}',
        b'{"prompt": "x", "max_tokens": ' + b"9" * 10_000 + b"}",
        b'{"prompt": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"prompt": "x", "prompt": "y"}',
        b'{"prompt": "\xff"}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_is_not_strictly_json_is_refused(client, body):
    refused(post(client, body))
    refused(post(client, body, "/v1/suggest"))


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(client, kind):
    refused(post(client, {"prompt": "x"}, kind=kind), 415)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("max_tokens", [0, -1, 10**9, True, "5", 1.5, [], 10**19]),
        ("n", [0, 9, 10**6, True, "1"]),
        ("logprobs", [-1, 21, 10**6, True, "1"]),
        ("temperature", [-1, 1e308, 2.1, "1", True]),
        ("top_p", [0, 2, -0.1, "x", False]),
        ("top_k", [-1, 10**9, 1.5]),
        ("stop", [["x"] * 10_000, "", ["a", ""], "x" * 65, 5, {"a": 1}, [1]]),
        ("seed", [-1, 2**64, "1", 1.5, True]),
        ("echo", [1, "true", 0]),
        ("stream", [1, "true"]),
        ("stream_options", [{"include_usage": True}, [], 1]),
        ("user", [1]),
        ("best_of", [2, True]),
        ("suffix", ["x"]),
        ("logit_bias", [[1]]),
        ("prompt", [[], [[]], [1, "a"], [-1], [10**6], [1.5], [True], {}, 5, [[1], "a"], [["a"]]]),
    ],
)
def test_a_field_is_refused_by_its_name(client, field, values):
    for value in values:
        refused(post(client, {"prompt": "x", field: value}), 400, field)


def test_what_changes_nothing_is_taken(client):
    body = {"prompt": "x", "max_tokens": 1, "best_of": 1, "suffix": None, "logit_bias": {}}
    body |= {"presence_penalty": 0, "frequency_penalty": 0.0, "user": "me", "stop": None}
    assert post(client, body | {"seed": None, "logprobs": None}).status_code == 200


def test_an_unknown_field_is_named_with_what_was_meant(client):
    assert "temperature" in refused(post(client, {"prompt": "x", "temprature": 1}), 400)
    assert "text" in refused(post(client, {"txt": "x"}, "/v1/suggest"), 400)
    refused(post(client, {"prompt": "x", "stream": True, "stream_options": {"a": 1}}), 400)
    refused(post(client, {}), 400, "prompt")
    refused(post(client, {}, "/v1/suggest"), 400, "text")
    refused(post(client, {"text": 5}, "/v1/suggest"), 400, "text")
    for k in (0, -1, 51, True, "3"):
        refused(post(client, {"text": "x", "k": k}, "/v1/suggest"), 400, "k")


def test_a_prompt_beyond_the_limit_is_refused_with_both_counts(client):
    message = refused(post(client, {"prompt": "a" * 4097}), 400, "prompt")
    assert "4,097" in message and "4,096" in message
    refused(post(client, {"prompt": [1] * 4097}), 400, "prompt")
    refused(post(client, {"prompt": "a" * 900_000}), 400, "prompt")
    refused(post(client, {"text": "a" * 4097}, "/v1/suggest"), 400, "text")
    refused(post(client, {"prompt": ["a"] * 33}), 400, "prompt")
    refused(post(client, {"prompt": ["a"] * 32, "n": 8}), 400, "n")


def test_a_body_beyond_the_limit_is_refused_as_announced_and_as_counted(client):
    refused(post(client, b" " * ((1 << 20) + 1)), 413)

    def chunks():
        for _ in range(20):
            yield b" " * 65_536

    headers = {"content-type": "application/json"}
    refused(client.post("/v1/completions", content=chunks(), headers=headers), 413)
    assert client.get("/health").status_code == 200


def test_paths_that_are_none_are_refused_with_a_hint(client):
    assert "/v1/completions" in refused(client.post("/v1/chat/completions", json={}), 404)
    assert "/v1/suggest" in refused(client.post("/v1/sugest", json={}), 404)
    for path in ("/../etc/passwd", "/%2e%2e/etc/passwd", "/a%00b", "/" + "x" * 8000, "/v1/"):
        assert 400 <= client.get(path).status_code < 500
    refused(client.get("/v1/completions"), 405)
    refused(client.delete("/health"), 405)
    refused(client.get("/v1/models/none"), 404, "model")


class Immediate:
    """An engine that answers at once: what is tested is what stands before it."""

    def complete(self, order, receive):
        for sample in range(order.count):
            receive(Piece(sample, "x", generated=1, finish="stop"))
        return self

    def suggest(self, text, k, receive):
        receive(Failure("no suggestions here"))
        return self

    def cancel(self):
        pass

    def close(self, seconds):
        pass


def anything(random, depth=0):
    """Make a value of any kind: right, nearly right, or senseless."""
    kinds = 9 if depth < 3 else 6
    match random.randrange(kinds):
        case 0:
            return random.choice([None, True, False])
        case 1:
            return random.choice([0, 1, -1, 5, 10**6, 2**63, -(2**70)])
        case 2:
            return random.choice([0.0, 0.5, -1.5, 1e308, 5e-324])
        case 3:
            return "".join(random.choices(string.printable + "é☃\U0001f600\x00", k=9))
        case 4:
            return random.choice(["", "x", "The cat", "a" * 5000])
        case 5:
            return random.choice([{}, []])
        case 6:
            return [anything(random, depth + 1) for _ in range(random.randrange(4))]
        case 7:
            return {str(anything(random, 3)): anything(random, depth + 1) for _ in range(2)}
        case _:
            return [random.randrange(-2, 60) for _ in range(random.randrange(6))]


FIELDS = (
    "model prompt max_tokens temperature top_p top_k n stream stream_options logprobs echo stop"
)
NAMES = [*FIELDS.split(), "seed", "best_of", "user", "text", "k", "tempratur", ""]


def request(random):
    """Make a request that is wrong, or might be."""
    names = random.sample(NAMES, random.randrange(1, 6))
    body = json.dumps({name: anything(random) for name in names}).encode()
    damage = random.randrange(6)
    if damage == 0:
        body = body[: random.randrange(len(body))]
    elif damage == 1:
        place = random.randrange(len(body))
        body = body[:place] + bytes([random.randrange(256)]) + body[place + 1 :]
    path = random.choice(["/v1/completions", "/v1/completions", "/v1/suggest", "/v1/x", "/health"])
    kind = random.choice(["application/json"] * 8 + ["text/plain", "\x7f"])
    return random.choice(["POST"] * 9 + ["PUT"]), path, body, {"content-type": kind}


@pytest.mark.anyio
async def test_ten_thousand_bad_requests_do_no_harm(small_model):
    told = []
    app = make_app(Immediate(), facts_of(small_model), ServeOptions(limits=Limits()), told.append)
    generator, statuses = random.Random(7), {}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for number in range(BAD_REQUESTS):
            if number == BAD_REQUESTS // 10:
                gc.collect()
                before = len(gc.get_objects())
            method, path, body, headers = request(generator)
            answer = await client.request(method, path, content=body, headers=headers)
            failed = path == "/v1/suggest" and "no suggestions here" in answer.text
            assert answer.status_code < 500 or failed, body
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        gc.collect()
        after = len(gc.get_objects())
        assert (await client.get("/health")).status_code == 200
    assert {200, 400, 404, 405, 415} <= set(statuses) and statuses[400] > BAD_REQUESTS / 3
    assert after - before < 1000 and told == []


@pytest.fixture
def anyio_backend():
    return "asyncio"


def test_limits_that_make_no_sense_are_refused():
    from charlm.errors import UsageError

    for values in ({"queue": 0}, {"max_samples": 65}, {"request_seconds": -1.0}):
        with pytest.raises(UsageError):
            Limits(**values)
    with pytest.raises(UsageError):
        Limits(request_seconds=math.nan)
