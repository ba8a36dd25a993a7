"""Who comes in: requests for this server, from no foreign page, with the key where there is one."""

import base64
import binascii
import hmac
import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from charlm.serving.options import ServeOptions
from charlm.serving.refusals import MISTAKE, Refusal, refused

OPEN = "/health"  # asks for no key
ROUTES = (OPEN, "/", "/v1/models", "/v1/completions", "/v1/suggest")  # named in logs
ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]

logger = logging.getLogger(__name__)


class Doors:
    """Lets requests through to an application, or refuses them; nothing that is raised gets out."""

    def __init__(self, app: ASGIApp, options: ServeOptions, tell: Callable[[str], None]) -> None:
        self._app, self._options, self._tell = app, options, tell
        self._hosts = options.answered_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, started = time.monotonic(), 500, False
        origin = b""

        async def answer(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message["headers"] = [*message["headers"], *ALWAYS, *_allowed(origin)]
            await send(message)

        try:
            origin = self._origin(scope)
            if origin and scope["method"] == "OPTIONS":  # a browser asks whether it may ask
                await Response(status_code=204)(scope, receive, answer)
                return
            if scope["path"] != OPEN:
                self._check_key(scope)
            await self._app(scope, receive, answer)
        except Refusal as refusal:
            if not started:
                await refused(refusal)(scope, receive, answer)
        except Exception:
            logger.exception("a request failed")
            if not started:
                await refused(MISTAKE)(scope, receive, answer)
        finally:
            if self._options.log_requests:
                path = scope["path"] if scope["path"] in ROUTES else "(no such path)"
                method = scope["method"] if scope["method"].isalpha() else "?"
                took = time.monotonic() - began
                self._tell(f"{method[:10]} {path} {status} {took * 1000:.0f} ms")

    def _origin(self, scope: Scope) -> bytes:
        """Give the foreign origin that may read the answer, b"" for none.

        Raises Refusal for one that may not, and for requests that mean another server.
        """
        host = _only(scope, b"host")
        if host is None or _name(host) not in self._hosts:
            raise Refusal(
                400,
                "the Host header does not name this server",
                code="unknown_host",
                headers={"Connection": "close"},
            )
        origin = _only(scope, b"origin")
        foreign = b""
        if origin is not None and not _same(origin, host):
            if origin.decode("latin-1") not in self._options.origins:
                raise Refusal(403, "another site's pages may not ask here", code="foreign_origin")
            foreign = origin
        return foreign

    def _check_key(self, scope: Scope) -> None:
        key = self._options.key
        if key is None:
            return
        given = _only(scope, b"authorization")
        # compared in any case, so that the time taken tells nothing
        if not hmac.compare_digest(_secret(given or b""), key):
            challenge = "Basic" if scope["path"] == "/" else "Bearer"
            raise Refusal(
                401,
                "a key is needed: send Authorization: Bearer KEY",
                code="invalid_api_key",
                headers={"WWW-Authenticate": f'{challenge} realm="charlm"'},
            )


def _only(scope: Scope, name: bytes) -> bytes | None:
    """Give a header; None where it is missing, or there twice, which means nothing."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].strip() if len(values) == 1 else None


def _name(host: bytes) -> str:
    """Give the name in a Host header, without its port, in lower case; "" where it is none."""
    try:
        parts = urlsplit("//" + host.decode("ascii"))
        _ = parts.port
    except (UnicodeDecodeError, ValueError):
        return ""
    plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    return (parts.hostname or "") if plain else ""


def _same(origin: bytes, host: bytes) -> bool:
    """Tell whether an origin is this server's own."""
    return origin.lower() in (b"http://" + host.lower(), b"https://" + host.lower())


def _secret(header: bytes) -> bytes:
    """Give the key in an Authorization header: a bearer token, or the password that a browser asks
    its user for.
    """
    kind, _, rest = header.partition(b" ")
    if kind.lower() == b"bearer":
        return rest.strip()
    if kind.lower() == b"basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


def _allowed(origin: bytes) -> list[tuple[bytes, bytes]]:
    """Give the headers by which a browser lets a foreign page read an answer."""
    if not origin:
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-headers", b"authorization, content-type"),
        (b"access-control-allow-methods", b"GET, POST"),
        (b"vary", b"origin"),
    ]
