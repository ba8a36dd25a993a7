"""The bodies of requests: read within limits of size and time, and parsed strictly."""

import asyncio
import json
import math
from typing import Any

from starlette.requests import ClientDisconnect, Request

from charlm.serving.options import Limits
from charlm.serving.refusals import Refusal, bad

DEEPEST = 8  # objects and arrays within one another
DIGITS = 20  # of a whole number


async def read_object(request: Request, limits: Limits) -> dict[str, Any]:
    """Read a request's body as one JSON object.

    Raises Refusal for another type (415), for a body that is too long (413) or too slow (408), and
    for anything that is not strictly JSON (400).
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "the body must be JSON: send Content-Type: application/json")
    try:
        async with asyncio.timeout(limits.body_seconds):
            data = await _read(request, limits.max_body_bytes)
    except TimeoutError:
        late = f"the body was not there within {limits.body_seconds:g} s"
        raise Refusal(408, late, headers={"Connection": "close"}) from None
    return parse_object(data)


async def _read(request: Request, most: int) -> bytes:
    """Read the body, counting what comes and not trusting what was announced."""
    too_long = Refusal(
        413, f"the body is longer than {most:,} bytes", headers={"Connection": "close"}
    )
    announced = request.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and int(announced[:DIGITS]) > most:
        raise too_long
    data = bytearray()
    try:
        async for piece in request.stream():
            data += piece
            if len(data) > most:
                raise too_long
    except ClientDisconnect:
        raise bad("the client left before its body was there") from None
    return bytes(data)


def parse_object(data: bytes) -> dict[str, Any]:
    """Parse a JSON object; raise Refusal for what JSON does not have, or allows but should not."""
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_whole,
            parse_float=_number,
        )
    except UnicodeDecodeError as fault:
        raise bad(f"the body is not UTF-8: invalid byte at offset {fault.start}") from None
    except json.JSONDecodeError as fault:
        raise bad(f"the body is not JSON: {fault.msg} at character {fault.pos}") from None
    except RecursionError:
        raise bad(f"the body is nested more than {DEEPEST} deep") from None
    if not isinstance(value, dict):
        raise bad("the body must be a JSON object")
    _check(value, DEEPEST)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise bad(f"the body has {twice[:60]!r} twice")
    return value


def _constant(word: str) -> float:
    raise bad(f"the body is not JSON: {word} is no number there")


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise bad(f"the body has a number of {len(digits):,} digits")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise bad("the body has a number that is too large")
    return value


def _check(value: object, deepest: int) -> None:
    """Refuse what is nested too deep, and texts that are none: lone surrogates."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as fault:
            raise bad(
                f"a text holds a lone surrogate, which no text has, at character {fault.start}"
            ) from None
    elif isinstance(value, dict | list):
        if deepest == 0:
            raise bad(f"the body is nested more than {DEEPEST} deep")
        inner = value.values() if isinstance(value, dict) else value
        for each in inner:
            _check(each, deepest - 1)
        for name in value if isinstance(value, dict) else ():
            _check(name, deepest)
