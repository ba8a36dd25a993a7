"""Score lines: one in, one out, for choosing the best of several or dropping the worst."""

import argparse
import codecs
import json
import sys
from collections.abc import Iterator
from typing import BinaryIO

from charlm.cli.arguments import add_model, add_predictor, load_model, predictor_name
from charlm.errors import CorpusError

CHUNK = 1 << 20  # bytes read at a time, where so many are there


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    add_predictor(parser, "network")
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="lines to score; - standard input"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print a JSON object for each line; else nats, a tab, the line",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the score of each line: its nats, each line read from the start."""
    model, name = load_model(arguments), predictor_name(arguments)
    with _opened(arguments.file) as stream:
        raw = model.tokenizer.kind == "byte"
        for lines in _raw_lines(stream, arguments.file) if raw else _lines(stream, arguments.file):
            for score in model.score_lines(lines, name):
                if arguments.json:
                    print(json.dumps(score.to_json(), ensure_ascii=False))
                else:
                    print(f"{score.nats:.4f}\t{score.text}")
            sys.stdout.flush()  # who sends line after line waits for each answer
    return 0


def _opened(name: str) -> BinaryIO:
    if name != "-":
        try:
            return open(name, "rb", buffering=0)
        except OSError as fault:
            raise CorpusError(f"cannot read {name}: {fault.strerror}") from fault
    if sys.stdin is None:  # closed
        raise CorpusError("there is no standard input to read here")
    return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)


def _lines(stream: BinaryIO, name: str) -> Iterator[list[str | bytes]]:
    """Give the lines that are there, without their ends, as they come."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    begun: list[str] = []
    try:
        for chunk in _chunks(stream, name):
            first, *others = decoder.decode(chunk).split("\n")
            begun.append(first)  # a line may be long: its pieces are joined once
            if others:
                whole = ["".join(begun), *others[:-1]]
                begun = others[-1:]
                yield [line.removesuffix("\r") for line in whole]
        last = "".join([*begun, decoder.decode(b"", final=True)])
        if last:
            yield [last.removesuffix("\r")]
    except UnicodeDecodeError as fault:
        raise CorpusError(
            f"{_where(name)} is not UTF-8", "convert it first, by iconv for example"
        ) from fault


def _raw_lines(stream: BinaryIO, name: str) -> Iterator[list[str | bytes]]:
    """Do the same for a model of bytes, which reads any."""
    begun: list[bytes] = []
    for chunk in _chunks(stream, name):
        first, *others = chunk.split(b"\n")
        begun.append(first)
        if others:
            whole = [b"".join(begun), *others[:-1]]
            begun = others[-1:]
            yield [line.removesuffix(b"\r") for line in whole]
    if any(begun):
        yield [b"".join(begun).removesuffix(b"\r")]


def _chunks(stream: BinaryIO, name: str) -> Iterator[bytes]:
    try:
        while chunk := stream.read(CHUNK):
            yield chunk
    except OSError as fault:
        raise CorpusError(f"cannot read {_where(name)}: {fault.strerror}") from fault


def _where(name: str) -> str:
    return "standard input" if name == "-" else name
