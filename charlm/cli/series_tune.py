"""Search for better options than charlm's own plan for a series, by trials of equal length.

Trials are scored on the rows that training steers by, each predicted one step ahead; the rows kept
back behind them are not looked at, unless --train-best judges the winner on them, once. Options
that are given, such as --cell gru, are the same in all trials; the head is never searched. The same
command again, in other processes or on other machines (on a common disk, with --study), shares the
trials of a study; however rudely a process ends, its trial is all that is lost, and done again.
"""

import argparse
from dataclasses import replace

from charlm.cli.searching import search_and_tell, tell
from charlm.language.command import words_of
from charlm.options import add_arguments as add_options
from charlm.options import from_arguments
from charlm.series.request import SeriesRequest
from charlm.tuning.options import BUDGETS, SERIES_FIXABLE, SeriesTuneOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("series", metavar="SERIES", help="as for series train")
    add_options(parser.add_argument_group("the search"), SeriesTuneOptions)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    fixed = parser.add_argument_group("options of all trials; what is given here is not searched")
    add_options(fixed, SeriesRequest, SERIES_FIXABLE)


def run(arguments: argparse.Namespace) -> int:
    """Search, then print the table and the command to run."""
    options = from_arguments(SeriesTuneOptions, arguments)
    given = {name: value for name, value in vars(arguments).items() if name in SERIES_FIXABLE}
    from charlm.tuning.tune import require

    require(options)
    from charlm.tuning.series_tune import series_asked_for  # imports PyTorch

    objective, options = series_asked_for(arguments.series, given, options)
    for note in objective.table.notes:
        tell(f"note     {note}")
    tell(objective.about())
    request = replace(objective.request, **BUDGETS)
    words = ["series", "tune", arguments.series, *words_of(request, objective.fixed)]
    return search_and_tell(objective, options, words, arguments)
