"""Search for better options than charlm's own plan, by trials of equal time on held-out text.

--minutes is the time of one trial: 10 trials of one minute take a little over ten. Options that are
given, such as --cell gru, are the same in all trials; the others are searched. The same command
again, in other processes or on other machines (as fast, on a common disk, with --study), shares
the trials of a study; however rudely a process ends, its trial is all that is lost, and done again.
"""

import argparse
import json
import shlex
import sys
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from charlm.cli.signals import Stopped, StopRequest
from charlm.language.command import words_of
from charlm.language.recipe import Recipe
from charlm.language.request import TrainRequest
from charlm.options import add_arguments as add_options
from charlm.options import from_arguments
from charlm.tuning.options import BUDGETS, FIXABLE, TuneOptions

if TYPE_CHECKING:
    from pathlib import Path

    from charlm.tuning.language import LanguageObjective

RECIPE = tuple(Recipe.__dataclass_fields__)
HELP = "search for better options than charlm's own plan"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("corpus", nargs="*", metavar="CORPUS", help="as for train")
    add_options(parser.add_argument_group("the search"), TuneOptions)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    fixed = parser.add_argument_group("options of all trials; what is given here is not searched")
    add_options(fixed, Recipe)
    add_options(fixed, TrainRequest, FIXABLE)


def run(arguments: argparse.Namespace) -> int:
    """Search, then print the table and the command to run."""
    options, stop = from_arguments(TuneOptions, arguments), arguments.stop_request
    given = {n: v for n, v in vars(arguments).items() if n in (*FIXABLE, *RECIPE)}
    from charlm.tuning.tune import asked_for, find_study, require

    require(options)
    objective = asked_for(arguments.corpus, given, options, _tell)
    directory = find_study(objective, options)
    _tell(f"study {directory}")
    try:
        code = _search(arguments, objective, options, directory)
    except Stopped:
        _tell(_go_on(objective, options, directory))
        raise
    if stop.requested():
        _tell(_go_on(objective, options, directory))
    return code


def _search(
    arguments: argparse.Namespace,
    objective: "LanguageObjective",
    options: TuneOptions,
    directory: "Path",
) -> int:
    from charlm.tuning.tune import search

    stop: StopRequest = arguments.stop_request
    report = search(objective, options, directory, sys.stderr, stop)
    if options.train_best is None or stop.requested() or report.best is None:
        told = report.text()
    else:
        if not arguments.json:
            print(report.text(), end="\n\n", flush=True)
        best = None if report.best.plan else report.best.options
        trained, told = objective.train_longer(
            best, options.train_best, options.out, sys.stderr, stop
        )
        report = replace(report, trained=trained)
    if arguments.json:
        told = json.dumps(report.to_json(), ensure_ascii=False)
    # where a signal came because nobody listens any more, its exit code still counts
    with suppress(OSError) if stop.requested() else nullcontext():
        print(told, flush=True)
    return 128 + stop.number if stop.number is not None else 0


def _go_on(objective: "LanguageObjective", options: TuneOptions, directory: "Path") -> str:
    """Write the command that goes on with a study."""
    request = replace(objective.request, **BUDGETS)
    words = ["charlm", "tune", *objective.paths]
    words += words_of(replace(options, study=str(directory)))
    words += words_of(request, objective.fixed)
    return f"the study is whole; to go on: {shlex.join(words)}"


def _tell(line: str) -> None:
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)
