"""Judge a series model, on the rows kept back for it or on a file, beside naive forecasts.

Errors one step ahead and in closed loop, by rolling origin, and those of persistence, the seasonal
naive forecast and drift.
"""

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="a directory that series train wrote")
    parser.add_argument("file", nargs="?", metavar="FILE", help="another series, as for train")
    parser.add_argument(
        "--horizon", type=int, metavar="N", help="rows ahead of the closed loops (default: train's)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the scores."""
    from charlm.series.handle import load
    from charlm.series.report import scores_table

    scores = load(arguments.model).evaluate(arguments.file, horizon=arguments.horizon).to_json()
    print(json.dumps(scores) if arguments.json else scores_table(scores))
    return 0
