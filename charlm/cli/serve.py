"""Serve a model over HTTP: suggestions, completions in OpenAI's form, and a page to try it on."""

import argparse
import os
import sys
from pathlib import Path

from charlm.cli.arguments import add_model, add_predictor, add_state, load_model
from charlm.errors import CorpusError, UsageError
from charlm.options import add_arguments as add_options
from charlm.options import from_arguments
from charlm.runs.dialogue import teller
from charlm.serving.options import Limits, ServeOptions

KEY = "CHARLM_API_KEY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    add_predictor(parser, "best")
    add_state(parser)
    add_options(parser, ServeOptions)
    parser.add_argument(
        "--api-key-file",
        metavar="FILE",
        help=f"a file with the key that clients must give; without it, {KEY} of the environment",
    )
    for flag, dest, help_text in (
        ("--allow-host", "hosts", "a further name that requests may call this server by"),
        ("--allow-origin", "origins", "an origin whose pages may ask, as https://example.org"),
    ):
        parser.add_argument(
            flag,
            dest=dest,
            action="append",
            default=[],
            metavar="NAME" if dest == "hosts" else "ORIGIN",
            help=help_text + "; repeatable",
        )
    add_options(parser.add_argument_group("limits of one client"), Limits)


def run(arguments: argparse.Namespace) -> int:
    """Listen until a signal comes."""
    arguments.key = read_key(arguments.api_key_file)
    arguments.hosts, arguments.origins = tuple(arguments.hosts), tuple(arguments.origins)
    arguments.limits = from_arguments(Limits, arguments)
    options = from_arguments(ServeOptions, arguments)
    try:
        from charlm.serving.server import bind, serve
    except ModuleNotFoundError as fault:
        if fault.name not in ("uvicorn", "starlette", "h11", "anyio"):
            raise
        raise UsageError(
            f"serving needs {fault.name}, which is not installed",
            "pip install 'charlm-toolkit[serve]'",
        ) from fault
    own = bind(options)
    with own:
        model = load_model(arguments)
        serve(model, options, own, teller(sys.stderr))
    return 0


def read_key(file: str | None) -> bytes | None:
    """Read the key that clients must give; None for none.

    Raises CorpusError for a file that cannot be read, UsageError for a key that is empty.
    """
    if file is not None:
        try:
            key = Path(file).read_bytes().strip()
        except OSError as fault:
            raise CorpusError(f"cannot read {file}: {fault.strerror}") from fault
        where = file
    else:
        if KEY not in os.environ:
            return None
        key, where = os.fsencode(os.environ[KEY]).strip(), KEY
    if not key:
        raise UsageError(f"{where} holds no key: it is empty")
    return key
