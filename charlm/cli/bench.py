"""Measure this machine, and charlm on it against a plain textbook loop, in turn in one run.

A CORPUS is a text: the first gives the ids to measure with (without any they are synthetic), and
with --only targets each is learned to a fixed score, on the text beside it with `valid` for `train`
in its name where there is one. --generate measures what comes after training: tokens per second
beside the textbook's way of writing, suggestions at every keystroke, how soon the commands answer,
and what a server gives to many clients at a time; each is held to an aim.
"""

import argparse
import json
import sys

from charlm.benchmark.options import BenchOptions
from charlm.options import add_arguments as add_options
from charlm.options import from_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("corpus", nargs="*", metavar="CORPUS", help="texts to measure with")
    add_options(parser, BenchOptions)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Measure, then print the tables or the JSON."""
    options = from_arguments(BenchOptions, arguments)
    from charlm.benchmark.suite import run_bench
    from charlm.runs.dialogue import teller

    report = run_bench(arguments.corpus, options, teller(sys.stderr))
    print(json.dumps(report.to_json(), ensure_ascii=False) if arguments.json else report.table())
    return 0
