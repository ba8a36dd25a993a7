"""Arguments that several commands share: the model, the device, a text given in three ways."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from charlm.errors import CorpusError

if TYPE_CHECKING:
    from charlm.language.handle import LanguageModel


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declare MODEL and where to compute."""
    parser.add_argument("model", metavar="MODEL", help="a directory that train wrote")
    parser.add_argument(
        "--device",
        default="auto",
        choices=("auto", "cpu", "cuda", "mps"),
        metavar="auto|cpu|cuda|mps",
        help="where to compute (default auto)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads to use")


def add_predictor(parser: argparse.ArgumentParser, default: str) -> None:
    """Declare which of a model's predictors is asked; without it `default` is."""
    parser.add_argument(
        "--predictor",
        default=default,
        metavar="NAME",
        help="network, counts, network+counts, network+cache, network+counts+cache, or the "
        f"best of them (default {default})",
    )
    for name, part in (("--ngram", "counts"), ("--cache", "cache")):
        parser.add_argument(
            name,
            dest="predictor",
            action="store_const",
            const=f"network+{part}",
            help=f"the same as --predictor network+{part}",
        )


def load_model(arguments: argparse.Namespace) -> "LanguageModel":
    """Load the model that `add_model` declared."""
    from charlm.language.handle import load

    return load(
        arguments.model,
        device=arguments.device,
        threads=arguments.threads,
        predictor=arguments.predictor,
    )


def read_text(argument: str) -> str:
    """Take a text from the command line: as it stands, `-` from standard input, `@FILE`."""
    if argument != "-" and not (argument.startswith("@") and len(argument) > 1):
        return argument
    where = "standard input" if argument == "-" else argument[1:]
    try:
        if argument != "-":
            data = Path(where).read_bytes()
        elif sys.stdin is None:  # closed
            raise CorpusError("there is no standard input to read here")
        else:
            data = sys.stdin.buffer.read()
    except OSError as fault:
        raise CorpusError(f"cannot read {where}: {fault.strerror}") from fault
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise CorpusError(f"{where} is not UTF-8: invalid byte at offset {fault.start}") from fault
