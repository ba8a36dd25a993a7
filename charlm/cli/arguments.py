"""Arguments that several commands share: the model, the device, a text given in three ways."""

import argparse
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from charlm.errors import CorpusError, UsageError
from charlm.runs.dialogue import teller

if TYPE_CHECKING:
    from charlm.language.handle import LanguageModel

LONG = 2.0  # seconds until it is said that something is compiled
COMPILING = "compiling for this machine, which takes some seconds, and only the first time"
MOST_WORDS = 1000  # that are suggested at a time: a search meets hardly more of them


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declare MODEL and where to compute."""
    parser.add_argument("model", metavar="MODEL", help="a directory that train wrote")
    add_device(parser)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Declare where to compute."""
    parser.add_argument(
        "--device",
        default="auto",
        choices=("auto", "cpu", "cuda", "mps"),
        metavar="auto|cpu|cuda|mps",
        help="where to compute (default auto)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads to use")


def add_predictor(parser: argparse.ArgumentParser, default: str, adapts: bool = True) -> None:
    """Declare which of a model's predictors is asked; without it `default` is.

    adapts: whether the network may go on learning
    """
    parser.add_argument(
        "--predictor",
        metavar="NAME",
        help="network, counts, network+counts, network+cache, network+counts+cache, or best, "
        f"which of them did best on the end of the training text (default {default})"
        + "; with +adapt the network goes on learning as it reads"
        * adapts,
    )
    parser.set_defaults(usual_predictor=default, mixed_in=[])
    if adapts:
        parser.add_argument(
            "--adapt",
            dest="mixed_in",
            action="append_const",
            const="adapt",
            help="let the network go on learning as it reads: without --predictor, "
            f"{default}+adapt",
        )
    for flag, part in (("--ngram", "counts"), ("--cache", "cache")):
        parser.add_argument(
            flag,
            dest="mixed_in",
            action="append_const",
            const=part,
            help=f"mix the {part} in: with --predictor network, network+{part}",
        )


def add_state(parser: argparse.ArgumentParser) -> None:
    """Declare what was read before."""
    parser.add_argument(
        "--state", metavar="STATE", help="go on from what charlm read --save-state STATE has read"
    )


def add_k(parser: argparse.ArgumentParser) -> None:
    """Declare how many words are suggested."""
    parser.add_argument("-k", type=int, default=5, metavar="K", help="suggestions (default 5)")


def check_k(k: int) -> None:
    """Raise UsageError for a number of suggestions that makes no sense."""
    if not 1 <= k <= MOST_WORDS:
        raise UsageError(f"-k must be from 1 to {MOST_WORDS}, not {k}")


def predictor_name(arguments: argparse.Namespace) -> str:
    """Give the name of the predictor that `add_predictor` declared."""
    asked: str | None = arguments.predictor
    if asked is None:
        parts = set(arguments.mixed_in) - {"adapt"}
        asked = "network" if parts else str(arguments.usual_predictor)
    return "+".join(dict.fromkeys([*asked.split("+"), *arguments.mixed_in]))


def spare_threads(arguments: argparse.Namespace) -> None:
    """Let NumPy multiply with one thread, or with --threads; to be called before it is loaded.

    The products of a stream or two are so small that to share them costs more than it saves, and
    many times more where another program has the second processor. Who has set the numbers of
    threads in the environment is not overruled.
    """
    if arguments.threads is not None or "OMP_NUM_THREADS" not in os.environ:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(arguments.threads or 1))


def load_model(arguments: argparse.Namespace) -> "LanguageModel":
    """Load the model that `add_model` declared."""
    from charlm.language.handle import load

    return load(
        arguments.model,
        device=arguments.device,
        threads=arguments.threads,
        predictor=predictor_name(arguments),
        state=getattr(arguments, "state", None),
    )


def compile_now(model: "LanguageModel") -> None:
    """Compile what a model works by, where numba is; say so where it takes long."""
    timer = threading.Timer(LONG, teller(sys.stderr), [COMPILING])
    timer.daemon = True
    timer.start()
    try:
        model.compile()
    finally:
        timer.cancel()


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
