"""Suggest the next words, or the rest of a half-typed word, with their probabilities."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from charlm.cli.arguments import (
    MOST_WORDS,
    add_k,
    add_model,
    add_predictor,
    add_state,
    check_k,
    compile_now,
    load_model,
    read_text,
    spare_threads,
)
from charlm.cli.lines import text_lines
from charlm.errors import CharlmError, UsageError

if TYPE_CHECKING:
    from charlm.generation.session import Session


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    add_predictor(parser, "best")
    add_state(parser)
    parser.add_argument(
        "text",
        nargs="?",
        default="",
        metavar="TEXT",
        help="what was typed; @FILE a file; - for programs: answers each line of standard input, a "
        'text or {"text": ..., "k": ...}, with a line of JSON, quickly where texts go on',
    )
    add_k(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Suggest and print."""
    check_k(arguments.k)
    spare_threads(arguments)
    model = load_model(arguments)
    if arguments.text == "-":
        compile_now(model)
        session = model.session()
        for lines in text_lines("-", errors="replace"):
            for line in lines:
                print(json.dumps(answer(session, line, arguments.k), ensure_ascii=False))
                sys.stdout.flush()  # who asks waits
        return 0
    found = model.suggestions(read_text(arguments.text), k=arguments.k)
    if arguments.json:
        print(json.dumps(found.to_json(), ensure_ascii=False))
        return 0
    for suggestion in found.suggestions:
        print(f"{suggestion.probability:7.2%}  {suggestion.word}")
    return 0


def answer(session: "Session", line: str, k: int) -> dict[str, Any]:
    """Answer a line: a text, or a JSON object with `text` and perhaps `k`; mistakes are told."""
    try:
        text, k = _asked(line, k)
        return session.suggest(text, k).to_json()
    except CharlmError as error:
        return {"error": error.message}


def _asked(line: str, k: int) -> tuple[str, int]:
    """Give the text of a line, and how many words it asks for."""
    if not line.startswith("{"):
        return line, k
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError):
        return line, k  # a text may begin so
    if not isinstance(asked.get("text"), str):
        raise UsageError('a line in JSON needs "text", which is a text')
    k = asked.get("k", k)
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= MOST_WORDS:
        raise UsageError(f'"k" must be a whole number from 1 to {MOST_WORDS}')
    if unknown := sorted(asked.keys() - {"text", "k"}):
        raise UsageError(f"unknown field '{unknown[0]}': there are text and k")
    return asked["text"], k
