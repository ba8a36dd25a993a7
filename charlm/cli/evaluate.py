"""Score text: every token once, state carried; without FILE, the run's own held-out text."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from charlm.cli.arguments import add_model, add_predictor, add_state, load_model, predictor_name
from charlm.evaluation.keystrokes import LETTERS

if TYPE_CHECKING:
    from charlm.evaluation.metrics import Evaluation
    from charlm.language.examining import Examined

TYPED = 200  # words


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
        "--by",
        choices=("token", "line", "document"),
        metavar="token|line|document",
        help="a row for each, with tabs, or in --json as `by`; the sums go to standard error",
    )
    parser.add_argument(
        "--accuracy", action="store_true", help="how often the first guess came, or the first five"
    )
    parser.add_argument(
        "--keystrokes",
        nargs="?",
        const=TYPED,
        type=int,
        metavar="N",
        help="share of keys that suggestions spare, over N words typed, evenly spaced (default "
        f"{TYPED}); looked for before each of a word's first {LETTERS} letters; takes a tenth of "
        "a second a word, more with --cache and for long ones, and reads the text again",
    )
    parser.add_argument(
        "--html", metavar="FILE.html", help="write the text as a page, coloured by surprise"
    )
    parser.add_argument(
        "--plot", metavar="FILE.png", help="draw the learning curve and the calibration"
    )


def run(arguments: argparse.Namespace) -> int:
    """Score and print the evaluation."""
    rows: list[dict[str, Any]] = []
    found = _examine(arguments, rows) if _looks_closer(arguments) else _evaluate(arguments)
    if arguments.json:
        by = {"by": rows} if arguments.by else {}
        print(json.dumps(found.to_json() | by))
        return 0
    from charlm.evaluation.report import evaluation_table, examination_table
    from charlm.language.examining import Examined

    table = evaluation_table(found.evaluation if isinstance(found, Examined) else found)
    if isinstance(found, Examined):
        table += examination_table(found.to_json())
    print(table, file=sys.stderr if arguments.by else sys.stdout)
    return 0


def _looks_closer(arguments: argparse.Namespace) -> bool:
    wanted = (arguments.html, arguments.plot, arguments.by, arguments.keystrokes)
    return arguments.accuracy or any(each is not None for each in wanted)


def _evaluate(arguments: argparse.Namespace) -> "Evaluation":
    return load_model(arguments).evaluate(
        path=arguments.files or None,
        encoding=arguments.encoding,
        strict=arguments.strict,
        text_column=arguments.text_column,
        predictor=predictor_name(arguments),
        tell=_tell,
    )


def _examine(arguments: argparse.Namespace, rows: list[dict[str, Any]]) -> "Examined":
    """Evaluate and look closer; rows are printed as they come, or kept for the JSON."""
    from charlm.evaluation.rows import COLUMNS, as_text
    from charlm.language.examining import Wanted, examine

    by = arguments.by
    wanted = Wanted(  # refuses before the work begins
        arguments.html, arguments.plot, by, arguments.accuracy, arguments.keystrokes
    )
    model = load_model(arguments)

    def show(row: dict[str, Any]) -> None:
        if not rows:  # not before there is one
            print("\t".join(COLUMNS[by]))
            rows.append({})
        print(as_text(row, by))

    with _typing() as typed:
        return examine(
            model,
            arguments.files,
            wanted,
            predictor=predictor_name(arguments),
            encoding=arguments.encoding,
            strict=arguments.strict,
            text_column=arguments.text_column,
            tell=_tell,
            emit=rows.append if arguments.json else show,
            typed=typed,
        )


@contextmanager
def _typing() -> Iterator[Callable[[int], object]]:
    """Show how many words are typed, on standard error where that is a terminal."""
    from tqdm import tqdm

    with ExitStack() as shown:
        bars = list[tqdm]()

        def typed(total: int) -> None:
            if not bars:
                quiet = sys.stderr is None or not sys.stderr.isatty()
                bar = tqdm(total=total, unit="word", disable=quiet, file=sys.stderr, leave=False)
                bars.append(shown.enter_context(bar))
            bars[0].update()

        yield typed


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
