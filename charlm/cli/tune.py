"""Search for better options than charlm's own plan, by trials of equal time on held-out text.

--minutes is the time of one trial: 10 trials of one minute take a little over ten. Options that are
given, such as --cell gru, are the same in all trials; the others are searched. The same command
again, in other processes or on other machines (as fast, on a common disk, with --study), shares
the trials of a study; however rudely a process ends, its trial is all that is lost, and done again.
"""

import argparse
from dataclasses import replace

from charlm.cli.searching import search_and_tell, tell
from charlm.language.command import words_of
from charlm.language.recipe import Recipe
from charlm.language.request import TrainRequest
from charlm.options import add_arguments as add_options
from charlm.options import from_arguments
from charlm.tuning.options import BUDGETS, FIXABLE, TuneOptions

RECIPE = tuple(Recipe.__dataclass_fields__)


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
    options = from_arguments(TuneOptions, arguments)
    given = {n: v for n, v in vars(arguments).items() if n in (*FIXABLE, *RECIPE)}
    from charlm.tuning.tune import asked_for, require

    require(options)
    objective = asked_for(arguments.corpus, given, options, tell)
    request = replace(objective.request, **BUDGETS)
    words = ["tune", *objective.paths, *words_of(request, objective.fixed)]
    return search_and_tell(objective, options, words, arguments)
