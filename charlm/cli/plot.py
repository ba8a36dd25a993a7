"""Draw the course of runs, one over the other: loss in bits, learning rate, tokens per second.

Runs may still be going on. A table of what each has come to goes to standard output.
"""

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a directory that train writes to")
    parser.add_argument(
        "--out",
        default="plot.png",
        metavar="FILE.png",
        help="file to write; one that is there is replaced (default plot.png)",
    )
    parser.add_argument(
        "--x",
        default="steps",
        choices=("steps", "tokens", "seconds"),
        metavar="steps|tokens|seconds",
        help="what the runs are drawn against (default steps)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Draw, and print what each run came to."""
    from charlm.evaluation.runs import plot_runs, summary_table

    runs = plot_runs(arguments.runs, arguments.out, arguments.x, _tell)
    if arguments.json:
        found = {"out": arguments.out, "x": arguments.x, "runs": [run.to_json() for run in runs]}
        print(json.dumps(found, ensure_ascii=False))
        return 0
    print(summary_table(runs))
    _tell(f"drawn in {arguments.out}")
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
