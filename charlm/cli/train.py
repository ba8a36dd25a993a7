"""Train a model on your text (without CORPUS: on the text that ships with Python)."""

import argparse
import json
import sys
from contextlib import nullcontext, suppress

from charlm.cli.signals import StopRequest
from charlm.language.recipe import Recipe, request_from
from charlm.language.request import TrainRequest
from charlm.options import add_arguments as add_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "corpus",
        nargs="*",
        metavar="CORPUS",
        help="files, directories, globs, or - for standard input",
    )
    add_options(parser, Recipe)
    add_options(parser, TrainRequest)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Train, then print the result table and a sample."""
    request = request_from(vars(arguments))
    stop: StopRequest = arguments.stop_request
    from charlm.language.fit import fit  # imports PyTorch: after the options are checked

    result = fit(arguments.corpus, request, progress=sys.stderr, stop=stop)
    if result is not None:  # not one of several processes other than the first
        told = json.dumps(result.to_json(), ensure_ascii=False) if arguments.json else None
        # where a signal came because nobody listens any more, its exit code still counts
        with suppress(OSError) if stop.requested() else nullcontext():
            print(told or result.summary(), flush=True)
    return 128 + stop.number if stop.number is not None else 0
