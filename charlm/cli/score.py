"""Score lines: one in, one out, for choosing the best of several or dropping the worst."""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TextIO

from charlm.cli.arguments import add_model, add_predictor, load_model
from charlm.errors import CorpusError

HELP = "score each line of a text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    add_predictor(parser, "network")
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="lines to score; - standard input"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print a JSON object for each line; else nats, a tab, the line",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the score of each line: its nats, each line read from the start."""
    model = load_model(arguments)
    with _opened(arguments.file) as stream:
        for score in model.score_lines(_lines(stream, arguments.file)):
            if arguments.json:
                print(json.dumps(score.to_json(), ensure_ascii=False))
            else:
                print(f"{score.nats:.4f}\t{score.text}")
    return 0


def _opened(name: str) -> TextIO:
    if name != "-":
        try:
            return open(name, encoding="utf-8-sig", newline="\n")
        except OSError as fault:
            raise CorpusError(f"cannot read {name}: {fault.strerror}") from fault
    if sys.stdin is None:  # closed
        raise CorpusError("there is no standard input to read here")
    return open(sys.stdin.fileno(), encoding="utf-8-sig", newline="\n", closefd=False)


def _lines(stream: TextIO, name: str) -> Iterator[str]:
    """Give the lines without their ends."""
    where = "standard input" if name == "-" else name
    try:
        for line in stream:
            yield line.removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as fault:
        raise CorpusError(
            f"{where} is not UTF-8", "convert it first, by iconv for example"
        ) from fault
