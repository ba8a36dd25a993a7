"""Read text and store it as token ids with its tokenizer; the result is a CORPUS for train."""

import argparse
import sys
from pathlib import Path

from charlm.language.recipe import Recipe, request_from
from charlm.language.request import TrainRequest
from charlm.options import add_arguments as add_options

OPTIONS = (
    "force",
    "tokenizer",
    "vocab_size",
    "unknown",
    "valid",
    "documents",
    "encoding",
    "strict",
    "text_column",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("corpus", nargs="*", metavar="CORPUS", help="as for train")
    parser.add_argument("--out", required=True, metavar="DIR", help="directory to write")
    add_options(parser, TrainRequest, OPTIONS)
    add_options(parser, Recipe)


def run(arguments: argparse.Namespace) -> int:
    """Prepare the store and say what is in it."""
    request = request_from(vars(arguments))
    from charlm.language.corpus import prepare_directory, store_table

    store = prepare_directory(
        arguments.corpus,
        request,
        Path(arguments.out),
        tell=lambda line: print(line, file=sys.stderr),
    )
    print(store_table(store))
    return 0
