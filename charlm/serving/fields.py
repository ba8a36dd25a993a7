"""The fields of requests: each checked for its type and its limits, and refused by its name.

Types are strict: true is no number, and "5" is none either.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from charlm.options import did_you_mean
from charlm.serving.refusals import bad

Value = TypeVar("Value")
LARGEST_SEED = 2**63 - 1


def known_only(body: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse fields that are none."""
    names = list(known)
    for name in body:
        if name not in names:
            hint = did_you_mean(name, names)
            shown = name if len(name) <= 60 else name[:57] + "..."
            raise bad(
                f"unknown field {shown!r}" + (f": {hint}" if hint else ""), shown, "unknown_field"
            )


def whole(name: str, value: Any, least: int, most: int) -> int:  # noqa: ANN401
    """Take a whole number within limits, both included."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        shown = "a larger one" if isinstance(value, int) and value > 10**9 else f"{value!r:.40}"
        raise bad(
            f"{name} must be a whole number between {least:,} and {most:,}, not {shown}", name
        )
    return value


def number(name: str, value: Any, least: float, most: float, above: bool = False) -> float:  # noqa: ANN401
    """Take a number within limits, both included, or, with `above`, without the least."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or not least <= value <= most or (above and value == least):
        begin = f"above {least:g} and at most" if above else f"between {least:g} and"
        raise bad(f"{name} must be a number {begin} {most:g}, not {value!r:.40}", name)
    return float(value)


def flag(name: str, value: Any) -> bool:  # noqa: ANN401
    """Take true or false."""
    if not isinstance(value, bool):
        raise bad(f"{name} must be true or false, not {value!r:.40}", name)
    return value


def text(name: str, value: Any) -> str:  # noqa: ANN401
    """Take a text."""
    if not isinstance(value, str):
        raise bad(f"{name} must be a text, not {value!r:.40}", name)
    return value


def texts(name: str, value: Any, most: int, characters: int) -> tuple[str, ...]:  # noqa: ANN401
    """Take a text or a list of texts, none of them empty, so many of so many characters."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise bad(f"{name} must be a text or a list of texts", name)
    if len(items) > most:
        raise bad(f"{name} may hold {most} texts, not {len(items):,}", name)
    for item in items:
        if not 1 <= len(item) <= characters:
            raise bad(f"{name} may hold texts of 1 to {characters} characters", name)
    return tuple(items)


def must_be(name: str, value: Any, allowed: tuple[Any, ...]) -> None:  # noqa: ANN401
    """Refuse what charlm does not do, unless it is asked for in the way that changes nothing."""
    if not any(value is each or (value == each and type(value) is type(each)) for each in allowed):
        shown = " or ".join(repr(each) for each in allowed if each is not None)
        raise bad(
            f"{name} is not supported" + (f": leave it out, or {shown}" if shown else ""), name
        )
