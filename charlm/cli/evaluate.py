"""Score text: every token once, state carried; without FILE, the run's own held-out text."""

import argparse
import json
import sys

from charlm.cli.arguments import add_model, add_predictor, add_state, load_model, predictor_name

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


def run(arguments: argparse.Namespace) -> int:
    """Score and print the evaluation."""
    model = load_model(arguments)
    evaluation = model.evaluate(
        path=arguments.files or None,
        encoding=arguments.encoding,
        strict=arguments.strict,
        text_column=arguments.text_column,
        predictor=predictor_name(arguments),
        tell=lambda line: print(line, file=sys.stderr),
    )
    if arguments.json:
        print(json.dumps(evaluation.to_json()))
        return 0
    from charlm.evaluation.report import evaluation_table

    print(evaluation_table(evaluation))
    return 0
