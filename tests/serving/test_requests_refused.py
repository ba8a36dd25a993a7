"""What is wrong with a request is said, with its field and limit (F4-F7, F13)."""

import itertools
import json
import os
import random
import resource

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.serving.app import Served, Service, make_app
from charlm.serving.constraints import CONSTRAINTS
from charlm.serving.options import ServeOptions
from tests.serving.running import NAME
from tests.serving.stand_in import CHAR, StandIn

ENGINE = StandIn()
OPTIONS = ServeOptions(max_prompt=64, max_tokens=32)
APP = make_app(Service(ENGINE, Served(NAME, CHAR), OPTIONS))
MANY = int(os.environ.get("CHARLM_BAD_REQUESTS", "1000"))
JSON = {"Content-Type": "application/json"}


def ask(*requests):
    """Ask without a network; a request is (method, path, content, headers)."""

    async def run():
        transport = httpx.ASGITransport(app=APP)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [
                await client.request(method, path, content=content, headers=headers)
                for method, path, content, headers in requests
            ]

    return anyio.run(run)


def complete(content, headers=JSON, path="/v1/completions"):
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    return ask(("POST", path, content, headers))[0]


def refused(response, status=400, field=None):
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (status, field), response.text
    assert set(error) == {"message", "type", "param", "code"} and error["code"] and error["type"]
    return error["message"]


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"nonsense", b'{"prompt": "a"} x', b"\xff\xfe", b"\xef\xbb\xbf{}", b"null"),
        *(b"[]", b'["prompt"]', b'"text"', b"5", b"[" * 100_000, b'{"prompt": ' * 50_000),
        *(b'{"prompt": "a", "temperature": NaN}', b'{"prompt": "a", "top_p": Infinity}'),
        *(b'{"prompt": "a", "temperature": -Infinity}', b'{"prompt": "a", "temperature": 1e999}'),
        b'{"prompt": "a", "seed": ' + b"9" * 10_000 + b"}",
        *(b'{"prompt": "\\ud800"}', b'{"\\udc00": 1}', b'{"prompt": "a", "stop": ["\\ud83d"]}'),
        *(b'{"prompt": "a", "prompt": "b"}', b'{"stream_options": {"a": 1, "a": 1}}'),
        b"{" + b",".join(b'"a%d": 1' % n for n in range(50_000)) + b', "a49999": 1}',
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
@pytest.mark.parametrize("path", ["/v1/completions", "/v1/suggest"])
def test_f4_what_is_no_strict_json_object_is_refused(body, path):
    assert refused(complete(body, path=path)).startswith("the body is not the JSON")


@pytest.mark.parametrize(
    "headers",
    [
        *(
            {},
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/x-www-form-urlencoded"},
        ),
        *({"Content-Type": "application/jsonx"}, JSON | {"Content-Encoding": "gzip"}),
        {"Content-Type": "application/json; charset=latin-1"},
    ],
)
def test_f4_what_does_not_say_that_it_is_json_is_refused(headers):
    refused(complete({"prompt": "a"}, headers), 415)


def test_json_may_say_its_charset():
    assert complete(
        {"prompt": "a"}, {"content-type": 'Application/JSON; charset="UTF-8"'}
    ).is_success


WRONG = [
    *(("max_tokens", value) for value in (0, -1, 1e9, 10**9, True, "5", 1.5, [], {})),
    *(("n", value) for value in (0, -1, 10**6, True, "2", 1.0)),
    *(("logprobs", value) for value in (-1, 10**6, 21, True, "1", 0.5)),
    *(("temperature", value) for value in (-1, 1e308, 2.1, True, "1", [])),
    *(("top_p", value) for value in (0, 2, -0.5, True, "1")),
    *(("stop", value) for value in (["x"] * 10_000, ["x"] * 5, "", [""], ["x" * 65], 5, [5], {})),
    *(("seed", value) for value in (-1, 1 << 63, 1.5, "1", True)),
    *(("echo", value) for value in (1, "true", 0)),
    *(("stream", value) for value in (1, "true")),
    *(("stream_options", value) for value in ({"include_usage": True}, 5)),
    *(("top_k", value) for value in (-1, 1.5, True)),
    *(("min_p", value) for value in (-1, 2)),
    *(("eta_cutoff", value) for value in (-1, 1, "0.1")),
    *(("min_tokens", value) for value in (-1, 1.5)),
    *(("logit_bias", value) for value in ([], 5, {"x": 1}, {"1": 101}, {"1": None}, {"99999": 1})),
    *(("repetition_penalty", value) for value in (0, -1, 1e9)),
    *(("model", value) for value in (5, ["tiny"])),
    *(("regex", value) for value in (5, True, [], ["a"], "(", "a)", "[", "\\", "(?!)", "a{2,1}")),
    *(("regex", value) for value in ("a" * 257, "*", r"\1", r"\p{x}", "(?<n>", "a{999999999999}")),
    *(("guided_regex", value) for value in ({}, "(?P<1>)", "[" * 200, "(" * 200)),
    *(("prefix", value) for value in (5, [], {}, False, "a" * 257)),
    *(("words", value) for value in ("cat", "", [], [""], [5], [[]], {}, {"a": 1}, 5, False)),
    *(("words", value) for value in (["a"] * 1001, ["a" * 257], ["a", None])),
    *(("guided_choice", value) for value in ("cat", [], ["", "a"], {})),
    *(("structured_outputs", value) for value in ([], "a", {}, {"regex": None}, {"json": {}})),
    *(("structured_outputs", value) for value in ({"regex": "("}, {"choice": []}, {"regex": 5})),
    ("structured_outputs", {"regex": "a", "choice": ["a"]}),
]


@pytest.mark.parametrize(("field", "value"), WRONG, ids=lambda value: f"{value!r:.24}")
def test_f5_a_wrong_value_is_refused_with_its_field_and_what_it_may_be(field, value):
    message = refused(complete({"prompt": "a", field: value}), field=field)
    assert message.startswith(field) and len(message) < 300


def test_f5_what_an_answer_must_be_is_said_once():
    names = ("regex", "prefix", "guided_regex")
    for one, other in itertools.combinations(names, 2):
        message = refused(complete({"prompt": "a", other: "a", one: "a"}), field=other)
        assert message == f"{other} cannot be given together with {one}"


def test_f5_limits_are_named():
    assert "256 characters" in complete({"prompt": "a", "regex": "a" * 257}).text
    assert "1000 texts" in complete({"prompt": "a", "words": ["a"] * 1001}).text
    assert "1 to 256" in complete({"prompt": "a", "words": ["a" * 257]}).text
    assert "1 to 32" in complete({"prompt": "a", "max_tokens": 33}).text
    assert "1 to 8" in complete({"prompt": "a", "n": 9}).text
    assert "0 to 20" in complete({"prompt": "a", "logprobs": 21}).text
    assert "0 to 2" in complete({"prompt": "a", "temperature": 3}).text


@pytest.mark.parametrize("value", [{"include_obfuscation": True}, {"include_usage": 1}, [], "x"])
def test_options_of_a_stream_are_checked(value):
    response = complete({"prompt": "a", "stream": True, "stream_options": value})
    assert response.status_code == 400
    assert {"include_usage", "stream_options"} & set(response.text.replace('"', " ").split())


@pytest.mark.parametrize(
    "prompt",
    [
        *([CHAR.vocab_size], [-1], [10**18], [], [[]], [[1], []], [1, "a"], ["a", 1], [[1], "a"]),
        *([[1], 2], [[1, [2]]], [True], [1.0], [None], None, 5, True, {}, [{}], [["a"]]),
    ],
    ids=repr,
)
def test_f6_a_prompt_of_no_form_or_of_ids_that_are_none_is_refused(prompt):
    assert refused(complete({"prompt": prompt}), field="prompt").startswith("prompt ")


def test_f7_a_prompt_that_is_too_long_is_refused_with_both_counts():
    for prompt, field in (
        ("a" * 65, "prompt"),
        ([1] * 65, "prompt"),
        (["a", "b" * 65], "prompt[1]"),
    ):
        message = refused(complete({"prompt": prompt}), field=field)
        assert "65" in message and "64" in message
    assert complete({"prompt": "a" * 64, "max_tokens": 1}).is_success
    refused(complete({"text": "a" * 65}, path="/v1/suggest"), field="text")


def test_f7_a_hopeless_prompt_is_not_even_tokenized(monkeypatch):
    monkeypatch.setattr(type(CHAR), "encode", None)
    assert "at least" in refused(complete({"prompt": "ab" * 500_000}), field="prompt")


def test_prompts_times_n_are_limited():
    refused(complete({"prompt": ["a"] * 9, "n": 8}), field="prompt")
    refused(complete({"prompt": ["a"] * 100_000}), field="prompt")


@pytest.mark.parametrize(
    ("field", "value", "hint"),
    [
        ("temprature", 1, "did you mean 'temperature'?"),
        ("best_of", 1, "samples are not ranked"),
        ("best_of", 3, "ask for n"),
        ("suffix", "x", "what comes before"),
        ("user", "me", "who asks"),
        ("messages", [], "does not chat"),
        ("max_new_tokens", 5, "max_tokens"),
        ("guided_json", {}, "regex and choice"),
        ("guided_choices", ["a"], "did you mean 'guided_choice'?"),
        ("max_copy", 5, "known are"),
        ("\u0000\n" * 50, 1, "known are"),
    ],
)
def test_f13_an_unknown_field_is_refused_with_a_hint(field, value, hint):
    response = complete({"prompt": "a", field: value})
    assert hint in response.json()["error"]["message"] and response.status_code == 400


def test_null_is_as_if_a_field_were_not_given():
    fields = ("suffix", "best_of", "user", "stop", "seed", "logprobs", "temperature", "n", "stream")
    assert complete({"prompt": "a", "max_tokens": 1} | dict.fromkeys(fields)).is_success
    assert complete({"prompt": "a", "nonsense": None}).status_code == 400


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_f13_a_chat_is_not_found_with_a_hint(path):
    assert "/v1/completions" in refused(complete({"messages": []}, path=path), 404)


def test_other_paths_and_methods_are_refused_in_the_same_form():
    paths = ("/v1/completion", "/v1", "/v1/completions/", "/%2e%2e/etc", "/%00")
    for path in (*paths, "/" + "x" * 8000):
        refused(ask(("GET", path, None, {}))[0], 404)
    assert "did you mean '/v1/suggest'?" in ask(("GET", "/v1/sugest", None, {}))[0].text
    response = ask(("GET", "/v1/completions", None, {}))[0]
    assert refused(response, 405) and response.headers["allow"] == "POST"
    refused(ask(("POST", "/health", "{}", JSON))[0], 405)


def test_another_model_is_not_found():
    assert "'tiny'" in refused(complete({"prompt": "a", "model": "gpt-4"}), 404, "model")
    refused(ask(("GET", "/v1/models/other", None, {}))[0], 404)
    assert ask(("GET", "/v1/models/tiny", None, {}))[0].json()["id"] == NAME


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=6,
)
NAMES = (
    "model",
    "prompt",
    "max_tokens",
    "n",
    "stop",
    "seed",
    "stream",
    "logprobs",
    "echo",
    "top_p",
    *CONSTRAINTS,
)
PATTERNS = st.text(st.sampled_from("ab(|)[]{}*+?\\.^$,12:=!<>PRiLpx-&~é☃\n"), max_size=24)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), ANYTHING, max_size=4))
def test_whatever_the_fields_hold_it_is_answered_or_refused(fields):
    response = complete({"prompt": "a", "max_tokens": 1} | fields)
    assert response.status_code in (200, 400, 404)
    assert response.status_code == 200 or refused_somehow(response)


@settings(max_examples=300)
@given(st.sampled_from(["regex", "guided_regex"]), PATTERNS)
def test_whatever_an_expression_is_it_is_taken_or_refused_by_its_field(field, pattern):
    response = complete({"prompt": "a", "max_tokens": 1, field: pattern})
    assert response.is_success or refused(response, field=field)


def refused_somehow(response):
    error = response.json()["error"]
    return error["message"] and error["type"]


def bad(seed):
    """Make a request that is wrong in one of many ways."""
    dice = random.Random(seed)
    good = json.dumps({"prompt": "the cat", "max_tokens": 2, "stop": ["x"], "logprobs": 1})
    path = dice.choice(["/v1/completions", "/v1/suggest"])
    kind, headers = dice.randrange(7), dict(JSON)
    content = bytearray(good.encode())
    if kind == 0:  # bytes changed
        for _ in range(dice.randint(1, 6)):
            content[dice.randrange(len(content))] = dice.randrange(256)
    elif kind == 1:  # bytes that are nothing
        content = dice.randbytes(dice.randrange(400))
    elif kind == 2:  # cut short
        content = content[: dice.randrange(len(content))]
    elif kind == 3:
        field, value = dice.choice(WRONG)
        content = json.dumps({"prompt": "a", field: value, "model": NAME}).encode()
    elif kind == 4:
        name = "".join(chr(dice.randrange(1, 0x3000)) for _ in range(dice.randrange(20)))
        content = json.dumps({"prompt": "a", "x" + name: dice.random()}).encode()
    elif kind == 5:
        headers = {
            "Content-Type": dice.choice(["", "text/json", "multipart/form-data; boundary=x"])
        }
    else:
        path = "/" + "".join(
            dice.choice("/v1.%20completions\\?#") for _ in range(dice.randrange(30))
        )
        path = path.replace("%", "%25")
    return dice.choice(["POST", "POST", "POST", "PUT", "GET"]), path, bytes(content), headers


def test_r11_thousands_of_bad_requests_are_refused_without_a_fault_and_memory_stays():
    ask(*(bad(seed) for seed in range(200)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    codes = [response.status_code for response in ask(*(bad(seed) for seed in range(MANY)))]
    assert max(codes) < 500
    assert sum(code >= 400 for code in codes) > 0.6 * MANY
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000 + 5 * MANY
    assert complete({"prompt": "a", "max_tokens": 1}).is_success
