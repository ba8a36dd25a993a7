"""Look at a corpus before training: what is in it, what is odd, what training would take."""

import argparse
import json
from typing import TYPE_CHECKING

from charlm.language.recipe import Recipe, request_from
from charlm.language.request import TrainRequest
from charlm.options import add_arguments as add_options

if TYPE_CHECKING:
    from charlm.language.checking import CorpusCheck

OPTIONS = (
    "minutes",
    "tokenizer",
    "vocab_size",
    "unknown",
    "valid",
    "documents",
    "encoding",
    "strict",
    "text_column",
    "threads",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("corpus", nargs="*", metavar="CORPUS", help="as for train")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_options(parser, TrainRequest, OPTIONS)
    add_options(parser, Recipe)


def run(arguments: argparse.Namespace) -> int:
    """Check the corpus and print what was found."""
    request = request_from(vars(arguments))
    from charlm.language.checking import check_corpus

    check = check_corpus(arguments.corpus, request)
    if arguments.json:
        print(json.dumps(check.to_json(), ensure_ascii=False))
        return 0
    for name, value in _rows(check):
        print(f"{name:18}{value}")
    for warning in check.warnings():
        print(f"note: {warning}")
    return 0


def _rows(check: "CorpusCheck") -> list[tuple[str, str]]:
    found, plan = check.survey, check.training
    about = "about " if check.sampled else ""
    counts = {"files": check.report.files, "documents": found.documents}
    counts |= {"rows": check.report.rows} if check.report.rows else {}
    counts |= vars(found.units) | {"longest line": found.longest_line}
    rows = [(name, f"{count:,}") for name, count in counts.items()]
    rows.append(("line ends", ", ".join(found.line_ends.kinds()).upper() or "none"))
    rows.append(("repeated lines", f"{about}{check.repeated_lines:.1%}"))
    if check.overlap is not None:
        rows.append(("held-out lines", f"{about}{check.overlap:.1%} are in the training text"))
    rows.append(("held out", f"{plan.held_out_bytes:,} bytes"))
    rows.append(
        (
            "tokenizer",
            f"{plan.tokenizer}, {plan.vocab_size:,} symbols, about {plan.tokens:,} tokens",
        )
    )
    rows.append(
        (
            "network",
            f"{plan.layers} x {plan.hidden} {plan.cell}, {plan.parameters:,} parameters, "
            f"dropout {plan.dropout:g}",
        )
    )
    epochs = f"{plan.epochs:.2g}" if plan.epochs < 10 else f"{plan.epochs:,.0f}"
    threads = f"{plan.threads} thread{'s' * (plan.threads > 1)}"
    rows.append(
        (
            "training",
            f"{plan.minutes:g} minutes are about {epochs} epochs on {threads}, "
            f"in about {plan.memory_bytes / 1e6:,.0f} MB of memory",
        )
    )
    return rows
