"""Suggest the next words, or the rest of a half-typed word, with their probabilities."""

import argparse
import json

from charlm.cli.arguments import (
    add_model,
    add_predictor,
    add_state,
    load_model,
    read_text,
    spare_threads,
)
from charlm.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    add_predictor(parser, "best")
    add_state(parser)
    parser.add_argument(
        "text", nargs="?", default="", metavar="TEXT", help="what was typed; -, @FILE as PROMPT"
    )
    parser.add_argument("-k", type=int, default=5, metavar="K", help="suggestions (default 5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Suggest and print."""
    if arguments.k < 1:
        raise UsageError(f"-k must be 1 or more, not {arguments.k}")
    spare_threads(arguments)
    model = load_model(arguments)
    found = model.suggestions(read_text(arguments.text), k=arguments.k)
    if arguments.json:
        print(json.dumps(found.to_json(), ensure_ascii=False))
        return 0
    for suggestion in found.suggestions:
        print(f"{suggestion.probability:7.2%}  {suggestion.word}")
    return 0
