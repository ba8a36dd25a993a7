"""Score lines: one in, one out, for choosing the best of several or dropping the worst."""

import argparse
import json
import sys

from charlm.cli.arguments import add_model, add_predictor, load_model, predictor_name
from charlm.cli.lines import byte_lines, corpus_lines
from charlm.runs.dialogue import teller
from charlm.text.sources import ReadOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    add_predictor(parser, "network")
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="lines to score; - standard input"
    )
    parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="encoding of the lines")
    parser.add_argument("--strict", action="store_true", help="refuse any invalid byte")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print a JSON object for each line; else nats, a tab, the line",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the score of each line: its nats, each line read from the start."""
    options = ReadOptions(arguments.encoding, arguments.strict)
    model, name = load_model(arguments), predictor_name(arguments)
    raw, file = model.tokenizer.kind == "byte", arguments.file
    for lines in byte_lines(file) if raw else corpus_lines(file, options, teller(sys.stderr)):
        for score in model.score_lines(lines, name):
            if arguments.json:
                print(json.dumps(score.to_json(), ensure_ascii=False))
            else:
                print(f"{score.nats:.4f}\t{score.text}")
        sys.stdout.flush()  # who sends line after line waits for each answer
    return 0
