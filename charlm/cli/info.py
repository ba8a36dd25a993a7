"""Show what a model is: its size, its tokenizer, what it was trained on and how well it does."""

import argparse
import json
from pathlib import Path

HELP = "show what a model is"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="a directory that train wrote")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--verify", action="store_true", help="check every file against the manifest's SHA-256"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the model's description."""
    from charlm.language.directory import describe

    facts = describe(Path(arguments.model), verify=arguments.verify)
    if arguments.json:
        print(json.dumps(facts, ensure_ascii=False))
        return 0
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):{width}}  {value}")
    return 0
