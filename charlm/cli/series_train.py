"""Train a model on a series of numbers: a CSV, Parquet or .npy file, - for standard input, or sine.

The end of the series is kept back; the model is judged on it beside forecasts that need no
learning.
"""

import argparse
import json
import sys
from contextlib import nullcontext, suppress

from charlm.cli.signals import StopRequest
from charlm.options import add_arguments as add_options
from charlm.options import from_arguments
from charlm.series.request import SeriesRequest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "series",
        metavar="SERIES",
        help="a CSV, Parquet or .npy file, - for standard input, or sine for the classic wave",
    )
    add_options(parser, SeriesRequest)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Train, then print the table of scores."""
    request = from_arguments(SeriesRequest, arguments)
    stop: StopRequest = arguments.stop_request
    from charlm.series.fit import fit  # imports PyTorch: after the options are checked

    result = fit(arguments.series, request, progress=sys.stderr, stop=stop)
    told = json.dumps(result.to_json(), ensure_ascii=False) if arguments.json else None
    # where a signal came because nobody listens any more, its exit code still counts
    with suppress(OSError) if stop.requested() else nullcontext():
        print(told or result.summary(), flush=True)
    return 128 + stop.number if stop.number is not None else 0
