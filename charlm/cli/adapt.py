"""Tune how a model adapts as it reads, its cache and its mixtures; store what was found with it.

On text that the model has not learned from: FILE, at most its first 20,000 tokens, or else the last
part of the training text, which training keeps back for this. The weights stay as they are.
"""

import argparse
import json
import sys

from charlm.cli.arguments import add_model
from charlm.text.sources import ReadOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    parser.add_argument("files", nargs="*", metavar="FILE", help="as CORPUS for train")
    parser.add_argument(
        "--rule",
        choices=("rms", "sgd"),
        default="rms",
        metavar="rms|sgd",
        help="how weights are moved: each row by the size of its gradients in training (default "
        "rms), or all at one rate",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="encoding of the text")


def run(arguments: argparse.Namespace) -> int:
    """Tune, and tell what was found."""
    from charlm.language.adapting import TUNED
    from charlm.language.handle import load
    from charlm.language.tailoring import tailor

    model = load(arguments.model, device=arguments.device, threads=arguments.threads)
    found = tailor(
        model,
        arguments.files,
        ReadOptions(arguments.encoding),
        tell=lambda line: print(line, file=sys.stderr),
        rule=arguments.rule,
    )
    if arguments.json:
        print(json.dumps(found.to_json()))
        return 0
    facts = found.to_json()
    nats = facts.pop("nats_per_token")
    for name, value in facts.items():
        print(f"{name:28}{value:>12,}" if isinstance(value, int) else f"{name:28}{value:>12}")
    print(f"{'predictor':28}{'nats per token':>16}")
    for name, cost in nats.items():
        print(f"{name:28}{cost:>16.4f}")
    print(
        f"kept in {model.directory / TUNED}, by which this model adapts from now on; without that "
        "file it does as training found",
        file=sys.stderr,
    )
    return 0
