"""Show what a model is: its size, its tokenizer, what it was trained on and how well it does."""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="a directory that train wrote")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--verify", action="store_true", help="check every file against the manifest's SHA-256"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the model's description."""
    directory = Path(arguments.model)
    if _is_of_a_series(directory):
        from charlm.series.describing import describe
    else:
        from charlm.language.directory import describe
    facts = describe(directory, verify=arguments.verify)
    if arguments.json:
        print(json.dumps(facts, ensure_ascii=False))
        return 0
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):{width}}  {_readable(value)}")
    return 0


def _readable(value: object) -> object:
    """Round what is measured, and group the digits of what is large."""
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 10_000
    return f"{value:,}" if whole else value


def _is_of_a_series(directory: Path) -> bool:
    from charlm.errors import ModelError
    from charlm.language.configuration import SERIES
    from charlm.runs.files import CONFIG
    from charlm.storage import read_json

    try:
        config = read_json(directory / CONFIG, ModelError)
    except ModelError:
        return False  # the reader will say what is wrong
    return isinstance(config, dict) and config.get("model_type") == SERIES
