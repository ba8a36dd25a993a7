"""The body of a request, counted while it is read, and the JSON object in it."""

import asyncio
import json
from collections import Counter
from typing import Any, NoReturn

from starlette.requests import Request

from charlm.serving.options import ServeOptions
from charlm.serving.refusals import Refusal

LONG = 1 << 14  # bytes from which on a body is parsed in a thread
DIGITS = 20  # of a whole number: none that is meant seriously has more
JSON_TYPE = "application/json"


async def read_object(request: Request, options: ServeOptions) -> dict[str, Any]:
    """Read the JSON object in a request's body; raise Refusal where there is none."""
    check_type(request)
    body = await read_body(request, options)
    if len(body) < LONG:
        return parse_object(body)
    return await asyncio.to_thread(parse_object, body)


def check_type(request: Request) -> None:
    """Refuse what does not say that it is JSON: also what a foreign page could send unasked."""
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != JSON_TYPE:
        message = f"the body must be JSON: send the header Content-Type: {JSON_TYPE}"
        raise Refusal(415, message, code="unsupported_media_type")
    charset = rest.strip().lower().replace('"', "")
    if charset not in ("", "charset=utf-8", "charset=utf8"):
        raise Refusal(415, "JSON is UTF-8", code="unsupported_media_type")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "the body must not be compressed", code="unsupported_media_type")


async def read_body(request: Request, options: ServeOptions) -> bytes:
    """Read the body; what is longer, or longer underway, than it may be is not waited for."""
    most = options.max_body
    told = request.headers.get("content-length", "0")
    if not told.isdecimal() or len(told) > DIGITS or int(told) > most:
        raise _too_long(most)
    body = bytearray()
    try:
        async with asyncio.timeout(options.body_seconds):
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    raise _too_long(most)
    except TimeoutError:
        message = f"the body did not arrive within {options.body_seconds:g} s"
        headers = {"Connection": "close"}
        raise Refusal(408, message, code="too_slow", headers=headers) from None
    return bytes(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object, strictly: each name once, numbers that are finite, text that is Unicode.

    Raises Refusal.
    """
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=_once,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_no_number,
        )
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is no Unicode
    except UnicodeDecodeError as fault:
        raise _no_json(f"it is not UTF-8, at byte {fault.start}") from None
    except UnicodeEncodeError:
        raise _no_json("it holds half of a surrogate pair") from None
    except json.JSONDecodeError as fault:
        raise _no_json(f"{fault.msg}, at character {fault.pos}") from None
    except ValueError as fault:
        raise _no_json(str(fault)) from None
    except RecursionError:
        raise _no_json("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise _no_json("it must be an object, in braces")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"it has the name {twice!r:.60} twice")
    return made


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"it has a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if abs(number) == float("inf"):
        raise ValueError("it has a number that is too large")
    return number


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")


def _no_json(reason: str) -> Refusal:
    return Refusal(400, f"the body is not the JSON that is wanted: {reason}", code="invalid_json")


def _too_long(most: int) -> Refusal:
    return Refusal(413, f"the body is longer than {most} bytes", code="too_long")
