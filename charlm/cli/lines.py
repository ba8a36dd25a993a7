"""Lines of a file or of standard input, as they come: what filters read."""

import codecs
import sys
from collections.abc import Iterator
from typing import BinaryIO

from charlm.errors import CorpusError

CHUNK = 1 << 20  # bytes read at a time, where so many are there


def text_lines(name: str, errors: str = "strict") -> Iterator[list[str]]:
    """Give the lines that are there, without their ends; `name` is a file's, or -.

    errors: "strict" raises CorpusError for what is not UTF-8, "replace" makes U+FFFD of it
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")(errors)
    begun: list[str] = []
    read, line = 0, 1  # bytes with those of a chunk; the line in which it begins
    with _opened(name) as stream:
        try:
            for chunk in _chunks(stream, name):
                read += len(chunk)
                first, *others = decoder.decode(chunk).split("\n")
                begun.append(first)  # a line may be long: its pieces are joined once
                if others:
                    whole = ["".join(begun), *others[:-1]]
                    begun = others[-1:]
                    yield [each.removesuffix("\r") for each in whole]
                line += len(others)
            last = "".join([*begun, decoder.decode(b"", final=True)])
            if last:
                yield [last.removesuffix("\r")]
        except UnicodeDecodeError as fault:
            line += fault.object.count(b"\n", 0, fault.start)
            offset = read - len(fault.object) + fault.start
            raise CorpusError(
                f"{_where(name)} is not UTF-8: invalid byte at line {line}, byte offset {offset}",
                "convert it first, by iconv for example",
            ) from fault


def byte_lines(name: str) -> Iterator[list[bytes]]:
    """Do the same for a model of bytes, which reads any."""
    begun: list[bytes] = []
    with _opened(name) as stream:
        for chunk in _chunks(stream, name):
            first, *others = chunk.split(b"\n")
            begun.append(first)
            if others:
                whole = [b"".join(begun), *others[:-1]]
                begun = others[-1:]
                yield [line.removesuffix(b"\r") for line in whole]
        if any(begun):
            yield [b"".join(begun).removesuffix(b"\r")]


def _opened(name: str) -> BinaryIO:
    if name != "-":
        try:
            return open(name, "rb", buffering=0)
        except OSError as fault:
            raise CorpusError(f"cannot read {name}: {fault.strerror}") from fault
    if sys.stdin is None:  # closed
        raise CorpusError("there is no standard input to read here")
    return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)


def _chunks(stream: BinaryIO, name: str) -> Iterator[bytes]:
    try:
        while chunk := stream.read(CHUNK):
            yield chunk
    except OSError as fault:
        raise CorpusError(f"cannot read {_where(name)}: {fault.strerror}") from fault


def _where(name: str) -> str:
    return "standard input" if name == "-" else name
