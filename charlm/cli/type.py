"""Type a text with suggestions: Tab takes the first, the arrows choose, Ctrl-D ends."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from charlm.cli.arguments import (
    add_k,
    add_model,
    add_predictor,
    add_state,
    check_k,
    compile_now,
    load_model,
    spare_threads,
)
from charlm.errors import UsageError
from charlm.runs.dialogue import teller

MISSING = "typing needs prompt_toolkit, which is not installed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    add_predictor(parser, "best")
    add_state(parser)
    add_k(parser)
    parser.add_argument("--out", metavar="FILE", help="write the text there, where none is yet")


def run(arguments: argparse.Namespace) -> int:
    """Let the user type; then print the text, unless the terminal shows it already."""
    check_k(arguments.k)
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to type at", "for programs there is: charlm suggest MODEL -"
        )
    spare_threads(arguments)
    try:
        from charlm.cli.typing_screen import type_text
    except ModuleNotFoundError as fault:
        if fault.name != "prompt_toolkit":
            raise
        raise UsageError(MISSING, "pip install 'charlm-toolkit[type]'") from fault
    with _target(arguments.out) as write:
        model = load_model(arguments)
        compile_now(model)
        typed = type_text(model.session(), arguments.k)
        write(typed.text.encode())
    teller(sys.stderr)(typed.describe())
    return 0


@contextmanager
def _target(name: str | None) -> Iterator[Callable[[bytes], object]]:
    """Give what takes the text: a file, or standard output unless the terminal shows it already."""
    if name is None:
        yield _print
        return
    if os.path.lexists(name):
        raise UsageError(f"{name} is already there", "choose another name for --out")
    from charlm.storage import result_file

    with result_file(name) as file:  # whether it can be written is known before anything is typed
        yield file.write


def _print(data: bytes) -> None:
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(data if data.endswith(b"\n") else data + b"\n")
        sys.stdout.buffer.flush()
