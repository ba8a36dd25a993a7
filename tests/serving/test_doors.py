"""Who is let in: the key on every route, our names, no foreign pages, no words in logs."""

import base64

import pytest

from charlm.errors import UsageError
from charlm.serving.options import ServeOptions
from tests.serving.conftest import running

KEY = "a secret ключ".encode()
ROUTES = [
    ("GET", "/"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/small"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/suggest"),
    ("GET", "/nothing/here"),
    ("PUT", "/health/"),
    ("OPTIONS", "/v1/completions"),
]


@pytest.fixture(scope="module")
def guarded(small_model):
    with running(small_model, key=KEY, hosts=("charlm.example",), log_requests=True) as own:
        yield own


def test_all_routes_are_among_those_tested(server):
    inner = server.app._app
    own = {route.path.split("{")[0].rstrip("/") or "/" for route in inner.routes}
    assert own - {"/health"} <= {path.removesuffix("/small") for _, path in ROUTES}


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "given",
    [
        [],
        [b"Bearer wrong"],
        [b"Bearer " + KEY[:-1]],
        [b"Bearer " + KEY + b"x"],
        [b"Bearer \xff\xfe"],
        [b"Bearer"],
        [KEY],
        [b"Basic !!!"],
        [b"Basic " + base64.b64encode(KEY)],
        [b"Bearer " + KEY, b"Bearer " + KEY],
    ],
)
def test_every_route_but_health_asks_for_the_key(guarded, method, path, given):
    headers = [(b"authorization", value) for value in given]
    with guarded.client() as client:
        answer = client.request(method, path, headers=headers)
        assert answer.status_code == 401 and answer.json()["error"]["code"] == "invalid_api_key"
        assert client.get("/health").status_code == 200


def test_the_key_opens_as_a_token_and_as_a_browsers_password(guarded):
    basic = b"Basic " + base64.b64encode(b"anybody:" + KEY)
    for value in (b"Bearer " + KEY, b"bearer " + KEY, basic):
        with guarded.client() as client:
            assert client.get("/v1/models", headers=[(b"authorization", value)]).status_code == 200
            assert client.get("/", headers=[(b"authorization", value)]).status_code == 200


def test_neither_prompts_nor_keys_are_logged(guarded, capfd):
    guarded.told.clear()
    headers = [(b"authorization", b"Bearer " + KEY)]
    with guarded.client() as client:
        body = {"prompt": "A very private text", "max_tokens": 2}
        assert client.post("/v1/completions", json=body, headers=headers).status_code == 200
        client.post("/v1/completions?key=private", json=body)
        client.get("/private", headers=headers)
    lines = "\n".join(guarded.told)
    assert "POST /v1/completions 200" in lines and "(no such path) 404" in lines
    assert "rivate" not in lines and "secret" not in lines
    assert capfd.readouterr() == ("", "")


def test_other_names_in_the_host_header_are_refused(guarded, client):
    for host in ("evil.example", "evil.example:80", "", "localhost:x", "a@localhost", "[::1", "é"):
        answer = client.get("/health", headers={"host": host.encode()})
        assert answer.status_code == 400, host
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:80"):
        assert client.get("/health", headers={"host": host}).status_code == 200, host
    with guarded.client() as own:
        assert own.get("/health", headers={"host": "charlm.example"}).status_code == 200


def test_foreign_pages_are_refused_and_told_nothing(client):
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        answer = client.post("/v1/suggest", json={"text": "x"}, headers={"origin": origin})
        assert answer.status_code == 403
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_the_servers_own_page_may_ask(server, client):
    answer = client.post("/v1/suggest", json={"text": "x"}, headers={"origin": server.url})
    assert answer.status_code == 200
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_an_origin_that_is_allowed_may_ask_and_read(small_model):
    origin = "https://pages.example"
    with running(small_model, origins=(origin,)) as server, server.client() as client:
        asked = client.options("/v1/suggest", headers={"origin": origin})
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-origin"] == origin
        answer = client.post("/v1/suggest", json={"text": "x"}, headers={"origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin


def test_an_address_that_others_reach_needs_a_key():
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(UsageError, match="there is no key"):
            ServeOptions(host=host)
        assert ServeOptions(host=host, key=b"k").key == b"k"
    for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9"):
        assert ServeOptions(host=host).is_loopback
