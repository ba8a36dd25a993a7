"""Score text: every token once, state carried; without FILE, the run's own held-out text."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from charlm.cli.arguments import add_model, add_predictor, add_state, load_model, predictor_name

if TYPE_CHECKING:
    from charlm.evaluation.metrics import Evaluation

HELP = "score text in bits per byte and perplexity"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    add_predictor(parser, "network")
    add_state(parser)
    parser.add_argument("files", nargs="*", metavar="FILE", help="as CORPUS for train")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="encoding of the text")
    parser.add_argument(
        "--strict", action="store_true", help="refuse any invalid byte or broken row"
    )
    parser.add_argument(
        "--text-column", default="text", metavar="NAME", help="column of a table with the text"
    )
    parser.add_argument(
        "--html", metavar="FILE.html", help="write the text as a page, coloured by surprise"
    )
    parser.add_argument(
        "--plot", metavar="FILE.png", help="draw the learning curve and the calibration"
    )


def run(arguments: argparse.Namespace) -> int:
    """Score and print the evaluation."""
    plain = arguments.html is None and arguments.plot is None
    evaluation = _evaluate(arguments) if plain else _draw(arguments)
    if arguments.json:
        print(json.dumps(evaluation.to_json()))
        return 0
    from charlm.evaluation.report import evaluation_table

    print(evaluation_table(evaluation))
    return 0


def _evaluate(arguments: argparse.Namespace) -> "Evaluation":
    return load_model(arguments).evaluate(
        path=arguments.files or None,
        encoding=arguments.encoding,
        strict=arguments.strict,
        text_column=arguments.text_column,
        predictor=predictor_name(arguments),
        tell=_tell,
    )


def _draw(arguments: argparse.Namespace) -> "Evaluation":
    """Evaluate, and write the pictures that were asked for."""
    from charlm.language.pictures import Pictures, draw_evaluation

    pictures = Pictures(arguments.html, arguments.plot)  # refuses before the work begins
    return draw_evaluation(
        load_model(arguments),
        arguments.files,
        pictures,
        predictor=predictor_name(arguments),
        encoding=arguments.encoding,
        strict=arguments.strict,
        text_column=arguments.text_column,
        tell=_tell,
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
