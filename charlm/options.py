"""Frozen dataclasses of options, and their three other forms: command-line flags, JSON, keywords.

An option is written once, as one line of a dataclass that stands beside the code that reads it:

    hidden_size: int = option(256, "units per layer", flag="--hidden")

`add_arguments` makes flags of them, `from_arguments` reads the flags back, and `to_json` and
`from_json` store them. Values are checked where the dataclass is made, so all forms agree.
"""

import argparse
import dataclasses
import difflib
import os
import types
import typing
from collections.abc import Callable, Container, Iterable, Mapping
from numbers import Integral
from typing import Any, TypeVar

from charlm.errors import UsageError

Options = TypeVar("Options")


def option(
    default: Any,  # noqa: ANN401  (the type is the field's)
    help: str,
    *,
    flag: str | None = None,
    parse: Callable[[str], Any] | None = None,
    metavar: str | None = None,
) -> Any:  # noqa: ANN401
    """Declare one option of a dataclass: its default, its help and, if not --NAME, its flag."""
    metadata = {"help": help, "flag": flag, "parse": parse, "metavar": metavar}
    return dataclasses.field(default=default, metadata=metadata)


def add_arguments(
    parser: argparse._ActionsContainer, cls: type[Any], names: Container[str] | None = None
) -> None:
    """Give `parser` one flag for each option of the dataclass `cls` (or only for those in `names`).

    The flags default to argparse.SUPPRESS: only what the user wrote reaches `from_arguments`.
    """
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if "help" not in field.metadata or (names is not None and field.name not in names):
            continue
        flag = field.metadata["flag"] or "--" + field.name.replace("_", "-")
        keywords: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS}
        keywords["help"] = _help(field)
        kind, choices = _kind_and_choices(hints[field.name])
        if kind is bool:
            keywords["action"] = argparse.BooleanOptionalAction if field.default else "store_true"
            if not field.default:  # something else may have asked for it, such as a preset
                _add_negation(parser, flag, field.name)
        else:
            keywords["type"] = field.metadata["parse"] or kind
            keywords["choices"] = choices
            keywords["metavar"] = field.metadata["metavar"] or _metavar(kind, choices)
        parser.add_argument(flag, **keywords)


def from_arguments(cls: type[Options], arguments: argparse.Namespace) -> Options:
    """Make the dataclass `cls` from the flags the user wrote; the others keep their defaults."""
    given = vars(arguments)
    names = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: value for name, value in given.items() if name in names})


def to_json(options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Turn a dataclass of plain values into what JSON can hold."""
    return dataclasses.asdict(options)


def from_json(cls: type[Options], values: Mapping[str, Any]) -> Options:
    """Make the dataclass `cls` from a JSON object.

    Raises UsageError for a name `cls` does not have or a value of another type.
    """
    return cls(**checked(cls, values))


def checked(cls: type[Any], values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Give values of options of the dataclass `cls`, each of its type; `where` is told of others.

    Raises UsageError as `from_json`.
    """
    hints = typing.get_type_hints(cls)
    for name, value in values.items():
        if name not in hints:
            raise UsageError(f"{where}unknown option '{name}'", did_you_mean(name, hints))
        if not _fits(value, hints[name]):
            raise UsageError(f"{where}option '{name}' cannot be {value!r}", _wanted(hints[name]))
    return {name: _from_list(value) for name, value in values.items()}


def without_paths(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give options with their paths as texts, as the command line has them."""
    return {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in options.items()
    }


def check(condition: bool, message: str, hint: str | None = None) -> None:
    """Raise UsageError with `message` unless `condition` holds."""
    if not condition:
        raise UsageError(message, hint)


def check_count(value: object, name: str) -> None:
    """Raise UsageError unless `value` is a whole number of 1 or more."""
    whole = isinstance(value, Integral) and int(value) >= 1
    check(whole, f"{name} must be 1 or more, not {value!r:.60}")


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Name the known word closest to a mistyped one, as a hint; None where none is close."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else None


def _add_negation(parser: argparse._ActionsContainer, flag: str, name: str) -> None:
    """Let an option that is off by default be turned off again; help says nothing of it."""
    parser.add_argument(
        "--no-" + flag.removeprefix("--"),
        dest=name,
        action="store_false",
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )


def _kind_and_choices(hint: Any) -> tuple[Any, tuple[str, ...] | None]:  # noqa: ANN401
    """Reduce a field's type to what one word on the command line can be."""
    if _is_union(hint):
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    if typing.get_origin(hint) is typing.Literal:
        return str, typing.get_args(hint)
    return hint, None


def _is_union(hint: Any) -> bool:  # noqa: ANN401
    return typing.get_origin(hint) in (types.UnionType, typing.Union)


def _fits(value: Any, hint: Any) -> bool:  # noqa: ANN401
    """Tell whether a JSON value fits a field's type."""
    if _is_union(hint):
        return any(_fits(value, part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if typing.get_origin(hint) is tuple:  # (int, ...): as many as there are
        item = typing.get_args(hint)[0]
        return isinstance(value, list | tuple) and all(_fits(part, item) for part in value)
    return isinstance(value, typing.get_origin(hint) or hint)


def _wanted(hint: Any) -> str | None:  # noqa: ANN401
    """Say what fits a field's type."""
    kind, choices = _kind_and_choices(hint)
    if choices:
        return f"it is one of {', '.join(choices)}"
    return {bool: "it is true or false", int: "it is a whole number", float: "it is a number"}.get(
        kind, "it is a text" if kind is str else None
    )


def _from_list(value: Any) -> Any:  # noqa: ANN401
    """Turn a list, which is what JSON makes of a tuple, into one again."""
    return tuple(value) if isinstance(value, list) else value


def _metavar(kind: Any, choices: tuple[str, ...] | None) -> str:  # noqa: ANN401
    if choices:
        return "|".join(choices)
    return {int: "N", float: "X"}.get(kind, "TEXT")


def _help(field: dataclasses.Field[Any]) -> str:
    text: str = field.metadata["help"]
    if field.default in (None, False, True, ""):
        return text
    return f"{text} (default {field.default})"
