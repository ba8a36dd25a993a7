"""Serve a model over HTTP: OpenAI's completions, suggestions as you type, and a page for people.

It listens to this machine alone; to be reached by others it needs a key, in the variable
CHARLM_API_KEY or in a file. Nothing that is asked or answered is logged.
"""

import argparse
import sys

from charlm.cli.arguments import (
    add_model,
    add_predictor,
    add_state,
    compile_now,
    load_model,
    spare_threads,
)
from charlm.errors import UsageError
from charlm.options import add_arguments as add_options
from charlm.options import from_arguments
from charlm.runs.dialogue import teller
from charlm.serving.options import ServeOptions
from charlm.storage import MANIFEST


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    add_predictor(parser, "best")
    add_state(parser)
    parser.add_argument(
        "--api-key-file",
        metavar="FILE",
        help="file with the key that requests must have; without it CHARLM_API_KEY, if set",
    )
    for flag, name, help in (
        ("--allow-host", "NAME", "another name or address by which the server is reached"),
        ("--allow-origin", "ORIGIN", "another site whose pages may ask, as https://example.org"),
    ):
        parser.add_argument(
            flag, action="append", default=[], metavar=name, help=f"{help}; repeatable"
        )
    add_options(parser, ServeOptions)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    options = from_arguments(ServeOptions, arguments)
    if arguments.threads is not None:  # else every processor is used, where many streams are read
        spare_threads(arguments)
    require_libraries()
    from charlm.language.generating import read_own_defaults
    from charlm.serving.access import check_names, read_key
    from charlm.serving.app import Served
    from charlm.serving.engine import ModelEngine
    from charlm.serving.listening import bind
    from charlm.serving.server import serve

    check_names(arguments.allow_host, arguments.allow_origin)
    key = read_key(arguments.api_key_file)
    sockets = bind(options, key)  # what is wrong there is said before a model is loaded
    model = load_model(arguments)
    own = options.generation_config == "auto"
    defaults = read_own_defaults(model.directory) if own else {}
    defaults.pop("max_tokens", None)  # the usual length is OpenAI's
    compile_now(model)  # it would keep all clients waiting later
    name = options.name or model.directory.resolve().name
    created = int((model.directory / MANIFEST).stat().st_mtime)
    engine = ModelEngine(
        model,
        streams=options.streams,
        waiting=options.queue,
        seconds=options.request_seconds,
        constraint_seconds=options.constraint_seconds,
    )
    serve(
        engine,
        Served(name, model.tokenizer, created, defaults),
        options,
        sockets=sockets,
        hosts=arguments.allow_host,
        origins=arguments.allow_origin,
        key=key,
        tell=teller(sys.stderr),
    )
    return 0


def require_libraries() -> None:
    """Raise UsageError where Starlette or uvicorn is missing: better before the model is loaded."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise UsageError(
            "serving needs the packages starlette and uvicorn",
            "pip install 'charlm-toolkit[serve]'",
        ) from None
