"""What commands that search share: the search, what is told of it, and how to go on with it."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from charlm.cli.signals import Stopped, StopRequest
from charlm.language.command import words_of

if TYPE_CHECKING:
    from pathlib import Path

    from charlm.tuning.objective import Objective
    from charlm.tuning.options import SearchOptions


def search_and_tell(
    objective: "Objective",
    options: "SearchOptions",
    words: Sequence[str],
    arguments: argparse.Namespace,
) -> int:
    """Search, then print the table and the command to run; give the exit code.

    words: of the command that was given, but for the options of the search
    """
    from charlm.tuning.tune import find_study

    stop: StopRequest = arguments.stop_request
    directory = find_study(objective, options)
    tell(f"study {directory}")
    again = ["charlm", *words, *words_of(replace(options, study=str(directory)))]
    go_on = f"the study is whole; to go on: {shlex.join(again)}"
    try:
        code = _search(objective, options, directory, stop, arguments.json)
    except Stopped:
        tell(go_on)
        raise
    if stop.requested():
        tell(go_on)
    return code


def _search(
    objective: "Objective",
    options: "SearchOptions",
    directory: "Path",
    stop: StopRequest,
    as_json: bool,
) -> int:
    from charlm.tuning.tune import search

    report = search(objective, options, directory, sys.stderr, stop)
    if not options.trains_best or stop.requested() or report.best is None:
        told = report.text()
    else:
        if not as_json:
            print(report.text(), end="\n\n", flush=True)
        best = None if report.best.plan else report.best.options
        trained, told = objective.train_longer(
            best, options.best_minutes, options.out, sys.stderr, stop
        )
        report = replace(report, trained=trained)
    if as_json:
        told = json.dumps(report.to_json(), ensure_ascii=False)
    # where a signal came because nobody listens any more, its exit code still counts
    with suppress(OSError) if stop.requested() else nullcontext():
        print(told, flush=True)
    return 128 + stop.number if stop.number is not None else 0


def tell(line: str) -> None:
    """Print a line on standard error, as long as somebody reads it."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)
