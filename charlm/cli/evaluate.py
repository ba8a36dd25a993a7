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
    from charlm.evaluation.rows import By, Row
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
    rows = JsonRows() if arguments.json else TableRows(arguments.by)
    found = _examine(arguments, rows.add) if _looks_closer(arguments) else _evaluate(arguments)
    if isinstance(rows, JsonRows):
        rows.end(found.to_json(), arguments.by is not None)
        return 0
    from charlm.evaluation.report import evaluation_table, examination_table
    from charlm.language.examining import Examined

    table = evaluation_table(found.evaluation if isinstance(found, Examined) else found)
    if isinstance(found, Examined):
        table += examination_table(found.to_json())
    print(table, file=sys.stderr if arguments.by else sys.stdout)
    return 0


class TableRows:
    """Prints rows as they come, as a table whose head is not there before one is."""

    def __init__(self, by: "By") -> None:
        self._by, self._begun = by, False

    def add(self, row: "Row") -> None:
        """Print a row."""
        from charlm.evaluation.rows import COLUMNS, as_text

        if not self._begun:
            print("\t".join(COLUMNS[self._by]))
        self._begun = True
        print(as_text(row, self._by))


class JsonRows:
    """Prints rows as they come within the one object of --json: a long text has millions."""

    def __init__(self) -> None:
        self._begun = False

    def add(self, row: "Row") -> None:
        """Print a row."""
        sys.stdout.write((", " if self._begun else '{"by": [') + json.dumps(row))
        self._begun = True

    def end(self, values: dict[str, Any], by: bool) -> None:
        """Print the rest of the object, in which there is a list of rows or none."""
        before = ("" if self._begun else '{"by": [') + "], " if by else "{"
        print(before + json.dumps(values).removeprefix("{"))


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


def _examine(arguments: argparse.Namespace, emit: "Callable[[Row], None]") -> "Examined":
    """Evaluate and look closer."""
    from charlm.language.examining import Wanted, examine

    wanted = Wanted(  # refuses before the work begins
        *(arguments.html, arguments.plot, arguments.by, arguments.accuracy, arguments.keystrokes)
    )
    model = load_model(arguments)
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
            emit=emit,
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
