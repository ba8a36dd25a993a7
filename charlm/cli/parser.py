"""An argument parser that answers a mistake with a sentence and the word that was meant."""

import argparse
import textwrap
from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from charlm.errors import UsageError
from charlm.options import did_you_mean


class Formatter(argparse.HelpFormatter):
    """Lines up the help of all options at one column, and keeps names with a hyphen whole."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=100)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would print its usage and leave."""

    def __init__(self, **keywords: Any) -> None:  # noqa: ANN401
        keywords.setdefault("formatter_class", Formatter)
        super().__init__(allow_abbrev=False, **keywords)

    def error(self, message: str) -> NoReturn:
        """Turn argparse's complaint into ours."""
        raise UsageError(message, f"see {self.prog} --help")

    def add_argument(self, *names: str, **keywords: Any) -> argparse.Action:  # noqa: ANN401
        """Declare an argument; of words that may be left out none is called required."""
        if keywords.get("nargs") == "*":
            keywords.setdefault("default", [])
        return super().add_argument(*names, **keywords)

    def known_flags(self) -> list[str]:
        """List every flag this parser takes."""
        return [flag for action in self._actions for flag in action.option_strings]


def parse(parser: Parser, commands: dict[str, Parser], words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; raise UsageError with the closest known word for a mistyped one."""
    command, rest = find_command(commands, words)
    if command is not None and rest is not None:  # options may stand anywhere after it
        arguments, unknown = commands[command].parse_known_intermixed_args(rest)
    else:
        arguments, unknown = parser.parse_known_args(words)
    if unknown:
        used = commands[command] if command is not None else parser
        if not unknown[0].startswith("-"):
            hint = f"see {used.prog} --help"
            if command in ("generate", "suggest"):
                hint = "put quotes around a text of several words"
            raise UsageError(f"'{unknown[0]}' is a word too many", hint)
        flag = unknown[0].split("=")[0]
        meant = did_you_mean(flag, used.known_flags())
        if flag in used.known_flags():
            meant = f"it belongs behind the command: charlm {command} ... {flag}"
        raise UsageError(f"unknown option '{flag}'", meant or f"see {used.prog} --help")
    return arguments


def find_command(
    commands: Collection[str], words: Sequence[str]
) -> tuple[str | None, Sequence[str] | None]:
    """Find the command, of one word or of two, and the words behind it.

    The second is None where options stand before a command of one word, or there is none. Raises
    UsageError where there is no such command.
    """
    command = next((word for word in words if not word.startswith("-")), None)
    single = sorted({name.split()[0] for name in commands})
    if command is not None and command not in commands:
        hint = did_you_mean(command, single) or f"commands: {', '.join(single)}"
        raise UsageError(f"there is no command '{command}'", hint)
    group = [name.split()[1] for name in commands if name.startswith(f"{command} ")]
    if command is None or words[0] != command:
        return command, None
    second = next((word for word in words[1:] if not word.startswith("-")), None)
    if not group or second is None:
        return command, words[1:] if not group else None
    if second not in group:
        hint = did_you_mean(second, group) or f"commands: {', '.join(group)}"
        raise UsageError(f"there is no command '{command} {second}'", hint)
    at = words.index(second)
    return f"{command} {second}", [*words[1:at], *words[at + 1 :]]
