"""Who is let in: by key, Host and Origin; listening to this machine alone (F10-F12, F18)."""

import base64
import logging

import httpx
import pytest

from charlm.errors import UsageError
from charlm.serving.access import check_names, read_key
from charlm.serving.app import Served, Service, make_app
from charlm.serving.listening import address_of, bind
from charlm.serving.logs import log_discreetly
from charlm.serving.options import ServeOptions
from tests.serving.running import NAME, running
from tests.serving.stand_in import CHAR, StandIn

KEY = "clef-secrète-0123456789".encode()
GOOD = b"Bearer " + KEY


@pytest.fixture(scope="module")
def locked():
    with running(key=KEY, hosts=("charlm.example",), origins=("HTTPS://Friend.example",)) as server:
        yield server


@pytest.fixture
def client(locked):
    with httpx.Client(base_url=locked.address) as client:
        yield client


def routes():
    app = make_app(Service(StandIn(), Served(NAME, CHAR), ServeOptions()), key=KEY)
    for route in app.routes:
        for method in route.methods:
            yield method, route.path.replace("{name:path}", NAME)
    for path in (
        "/v1/chat/completions",
        "/docs",
        "/openapi.json",
        "/metrics",
        "/healthz",
        "/health/",
    ):
        yield "GET", path
        yield "POST", path


WRONG_KEYS = [
    *([], [GOOD + b"x"], [GOOD[:-1]], [b"Bearer"], [b""], [KEY], [b"Bearer " + b"\xff" * 9]),
    *([GOOD, GOOD], [GOOD, b"Bearer other"], [b"Digest " + KEY], [b"Basic " + KEY], [b"Basic !"]),
    [b"Basic " + base64.b64encode(KEY)],
]


@pytest.mark.parametrize(("method", "path"), sorted(set(routes())))
def test_f10_every_route_but_health_asks_for_the_key(method, path, client):
    statuses = set()
    for keys in WRONG_KEYS:
        headers = [(b"authorization", key) for key in keys]
        response = client.request(method, path, headers=headers)
        statuses.add(response.status_code)
        if response.status_code == 401 and method != "HEAD":
            assert response.json()["error"]["code"] == "invalid_api_key"
            assert response.headers["www-authenticate"]
    assert statuses == ({401} if path != "/health" else {405 if method == "POST" else 200})


def test_the_key_opens_everything(client):
    headers = {b"authorization": GOOD}
    assert client.get("/v1/models", headers=headers).is_success
    assert client.get("/nowhere", headers=headers).status_code == 404
    answer = client.post("/v1/completions", headers=headers, json={"prompt": "a", "max_tokens": 1})
    assert answer.is_success


def test_a_browser_is_asked_for_the_key_as_a_password_at_the_page_alone(client):
    assert client.get("/").headers["www-authenticate"].startswith("Basic ")
    assert client.get("/v1/models").headers["www-authenticate"] == "Bearer"
    given = b"Basic " + base64.b64encode(b"anyone:" + KEY)
    assert client.get("/", headers={b"authorization": given}).is_success


def test_keys_are_compared_in_constant_time():
    import inspect

    from charlm.serving import access

    assert "hmac.compare_digest(given, self._key)" in inspect.getsource(access.Lock)


def test_the_key_comes_from_a_file_or_the_environment_and_is_one_word(tmp_path, monkeypatch):
    monkeypatch.delenv("CHARLM_API_KEY", raising=False)
    assert read_key(None) is None
    monkeypatch.setenv("CHARLM_API_KEY", "from-environment")
    assert read_key(None) == b"from-environment"
    path = tmp_path / "key"
    path.write_bytes(KEY + b"\n")
    assert read_key(str(path)) == KEY
    for content in (b"", b" \n", b"two words", b"two\nlines", b"nul\x00", b"x" * 5000):
        path.write_bytes(content)
        with pytest.raises(UsageError):
            read_key(str(path))
    with pytest.raises(UsageError, match="cannot read"):
        read_key(str(tmp_path / "absent"))
    monkeypatch.setenv("CHARLM_API_KEY", "")
    with pytest.raises(UsageError, match="holds no key"):
        read_key(None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1"])
def test_f11_what_others_reach_is_refused_without_a_key(host):
    with pytest.raises(UsageError, match="can be reached from other machines") as caught:
        bind(ServeOptions(host=host, port=0), None)
    assert caught.value.exit_code == 2 and "CHARLM_API_KEY" in caught.value.hint


def test_with_a_key_it_may_be_reached():
    (found, *more) = bind(ServeOptions(host="0.0.0.0", port=0), KEY)
    assert found.getsockname()[0] == "0.0.0.0" and not more
    found.close()


def test_a_port_that_is_taken_and_a_host_that_is_none_are_said_in_a_sentence():
    (taken,) = bind(ServeOptions(port=0), None)
    taken.listen()
    port = taken.getsockname()[1]
    assert address_of(taken) == f"http://127.0.0.1:{port}/"
    with pytest.raises(UsageError, match="in use already"):
        bind(ServeOptions(port=port), None)
    taken.close()
    with pytest.raises(UsageError, match="no address"):
        bind(ServeOptions(host="no such host"), None)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("localhost", 200), ("LOCALHOST:80", 200), ("127.0.0.1:8000", 200), ("[::1]:8000", 200)),
        *(("charlm.example", 200), ("evil.example", 403), ("localhost.evil.example", 403)),
        *(
            ("evil.example:8000", 403),
            ("", 400),
            ("[::1", 400),
            ("local host", 400),
            ("a:b:c", 400),
        ),
        *(("localhost:", 400), ("localhost@evil.example", 400), ("localhost/", 400), ("ü", 400)),
    ],
)
def test_f12_only_known_hosts_are_answered(host, status, client):
    response = client.get("/health", headers={b"host": host.encode()})
    assert response.status_code == status
    assert response.is_success or response.json()["error"]["code"] in ("bad_host", "unknown_host")


def test_f12_a_host_twice_or_not_at_all_is_refused(locked):
    for head in (b"Host: localhost\r\nHost: localhost\r\n", b""):
        assert (
            b" 400 " in locked.raw(b"GET /health HTTP/1.1\r\n" + head + b"\r\n").split(b"\r\n")[0]
        )


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", ""])
def test_f12_a_foreign_page_gets_nothing_and_no_cors_header(origin, client):
    headers = {b"authorization": GOOD, b"origin": origin.encode()}
    for method, path in (("GET", "/v1/models"), ("OPTIONS", "/v1/completions"), ("GET", "/health")):
        response = client.request(method, path, headers=headers)
        assert response.status_code == 403
        assert not [name for name in response.headers if name.startswith("access-control")]


def test_its_own_page_may_ask(locked, client):
    headers = {b"authorization": GOOD, b"origin": locked.address.rstrip("/").encode()}
    assert client.get("/v1/models", headers=headers).is_success


def test_a_page_that_is_allowed_may_ask_and_only_with_the_key(client):
    headers = {b"origin": b"https://friend.example"}
    response = client.get("/v1/models", headers=headers)
    assert response.status_code == 401
    asked = {b"access-control-request-method": b"POST", b"access-control-request-headers": b"x-a"}
    response = client.options("/v1/completions", headers=headers | asked)
    assert response.is_success
    assert response.headers["access-control-allow-origin"] == "https://friend.example"
    response = client.get("/v1/models", headers=headers | {b"authorization": GOOD})
    assert response.headers["access-control-allow-origin"] == "https://friend.example"


def test_names_that_no_request_could_have_are_refused_and_not_ignored():
    hosts = ["charlm.example", "Charlm.Example", "192.0.2.1", "::1", "[::1]"]
    check_names(hosts, ["https://friend.example", "HTTP://localhost:3000", "http://[::1]:80"])
    for host in ("charlm.example:8000", "http://charlm.example", "*", "[::1]:80", "a b", ""):
        with pytest.raises(UsageError, match=r"^allow_host"):
            check_names([host], [])
    for origin in ("https://friend.example/", "friend.example", "*", "null", ""):
        with pytest.raises(UsageError, match=r"^allow_origin"):
            check_names([], [origin])


def test_the_page_is_held_to_its_policy(client):
    response = client.get("/", headers={b"authorization": GOOD})
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "server" not in response.headers


def test_f18_nothing_that_was_written_and_no_key_is_logged():
    lines = []
    names = ("charlm", "uvicorn")
    before = {n: (logging.getLogger(n).handlers, logging.getLogger(n).propagate) for n in names}
    log_discreetly(lines.append)
    try:
        engine = StandIn()
        with running(engine, key=KEY) as server, httpx.Client(base_url=server.address) as client:
            headers = {b"authorization": GOOD}
            ask = {"prompt": "a secret prompt", "max_tokens": 2}
            assert client.post("/v1/completions", json=ask, headers=headers).is_success
            client.post("/v1/completions?key=clef", json=ask | {"secret": 1}, headers=headers)
            engine.fail_at = 0
            client.post("/v1/completions", json=ask, headers=headers)
            engine.complete = None  # a fault of ours
            assert client.post("/v1/completions", json=ask, headers=headers).status_code == 500
        try:
            raise ValueError("secret")
        except ValueError:
            logging.getLogger("charlm.serving").exception("something failed")
    finally:
        for name, (handlers, propagate) in before.items():
            logging.getLogger(name).handlers = handlers
            logging.getLogger(name).propagate = propagate
    text = "\n".join(lines)
    assert "TypeError" in text and "ValueError" in text and "line" in text
    assert "secret" not in text.replace('raise ValueError("secret")', "") and "clef" not in text
