"""Who is let in: by the Host that was asked for, by the page that asks, and by the key."""

import base64
import binascii
import hmac
import ipaddress
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from charlm.errors import UsageError
from charlm.serving.refusals import Refusal

KEY_VARIABLE = "CHARLM_API_KEY"
LONGEST_KEY = 4096
OWN_HOSTS = ("localhost", "127.0.0.1", "::1")
OPEN_PATHS = ("/health",)
Headers: TypeAlias = list[tuple[bytes, bytes]]
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]*://{HOST.pattern}")


class Gate:
    """Lets through what is meant for this server, by the Host asked and the page that asks.

    hosts:   names and addresses that the server answers to, besides this machine's own
    origins: of other sites' pages that may ask, besides the server's own
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], origins: Iterable[str]) -> None:
        self._app, self._origins = app, {origin.lower() for origin in origins}
        self._hosts = {host.strip("[]").lower() for host in (*OWN_HOSTS, *hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it."""
        try:
            host = self._check_host(scope["headers"])
            self._check_origin(scope["headers"], host)
        except Refusal as refusal:
            await refusal.response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check_host(self, headers: Headers) -> str:
        """Refuse a name that the server does not have: so no foreign page reaches it by its DNS."""
        found = _all(headers, b"host")
        host = found[0].decode("latin-1").lower() if len(found) == 1 else ""
        match = HOST.fullmatch(host)
        if match is None:
            raise Refusal(400, "the header Host is missing or malformed", code="bad_host")
        if match["name"].strip("[]") not in self._hosts:
            message = f"'{match['name'][:60]}' is no name of this server: --allow-host makes it one"
            raise Refusal(403, message, code="unknown_host")
        return host

    def _check_origin(self, headers: Headers, host: str) -> None:
        """Refuse what a browser sends for another site's page."""
        for origin in _all(headers, b"origin"):
            name = origin.decode("latin-1").lower()
            if name not in self._origins and name.partition("://")[2] != host:
                message = "pages of other sites may not ask here: --allow-origin lets one in"
                raise Refusal(403, message, code="foreign_origin")


class Lock:
    """Lets through who has the key; to all paths but for /health, whether they exist or not."""

    def __init__(self, app: ASGIApp, key: bytes) -> None:
        self._app, self._key = app, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it."""
        found = _all(scope["headers"], b"authorization")
        given = key_in(found[0]) if len(found) == 1 else b""
        if scope["path"] in OPEN_PATHS or hmac.compare_digest(given, self._key):
            await self._app(scope, receive, send)
        else:
            refusal = _no_key(scope["path"], given=bool(found))
            await refusal.response()(scope, receive, send)


def _no_key(path: str, *, given: bool) -> Refusal:
    """Refuse. A browser asks for the key, as a password, at the page alone."""
    challenge = 'Basic realm="charlm", charset="UTF-8"' if path == "/" else "Bearer"
    message = "this server has another key" if given else "this server asks for its key"
    message += ": send the header Authorization: Bearer KEY"
    return Refusal(401, message, code="invalid_api_key", headers={"WWW-Authenticate": challenge})


def _all(headers: Headers, name: bytes) -> list[bytes]:
    return [value for own, value in headers if own == name]


def key_in(header: bytes) -> bytes:
    """Give the key in a header: behind Bearer, or, from a browser, Basic's password."""
    scheme, _, rest = header.partition(b" ")
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(rest, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return rest.strip() if scheme.lower() == b"bearer" else b""


def read_key(path: str | None) -> bytes | None:
    """Give the key out of a file, or else of the environment; None where there is neither.

    Raises UsageError where it is empty, or holds what no header can.
    """
    if path is not None:
        try:
            with Path(path).open("rb") as stream:
                key, where = stream.read(LONGEST_KEY + 1).strip(), path
        except OSError as fault:
            raise UsageError(f"cannot read the key in {path}: {fault.strerror}") from fault
    elif KEY_VARIABLE in os.environ:
        key, where = os.fsencode(os.environ[KEY_VARIABLE]).strip(), KEY_VARIABLE
    else:
        return None
    if not key:
        raise UsageError(f"{where} holds no key", "put one in, or do without it")
    if len(key) > LONGEST_KEY or any(byte <= 32 or byte == 127 for byte in key):
        raise UsageError(f"the key in {where} must be one word, and at most {LONGEST_KEY} bytes")
    return key


def check_names(hosts: Iterable[str], origins: Iterable[str]) -> None:
    """Raise UsageError for hosts and origins that no request could have: they would let in none."""
    for host in hosts:
        found = HOST.fullmatch(host.lower())
        if (found is None or found["port"]) and not _is_address(host):
            hint = "write a name or an address alone, as charlm.example: any port of it will do"
            raise UsageError(f"--allow-host {host!r:.60} is no host", hint)
    for origin in origins:
        if ORIGIN.fullmatch(origin.lower()) is None:
            hint = "write what a browser sends, without a path, as https://example.org"
            raise UsageError(f"--allow-origin {origin!r:.60} is no origin", hint)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def check_exposure(address: str, key: bytes | None) -> None:
    """Raise UsageError for an address, in numbers, that others reach, without a key."""
    if key is None and not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        raise UsageError(
            f"{address} can be reached from other machines, and there is no key",
            f"set {KEY_VARIABLE} or pass --api-key-file FILE; or listen on 127.0.0.1",
        )
