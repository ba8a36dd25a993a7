"""Lines of a file or of standard input, as they come: what filters read."""

import codecs
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import AnyStr, BinaryIO

from charlm.errors import CorpusError
from charlm.text.reading import HEAD, MAX_INVALID, Decoding, why_not_text
from charlm.text.sources import ReadOptions, ReadReport

CHUNK = 1 << 20  # bytes read at a time, where so many are there


def text_lines(name: str, errors: str = "strict") -> Iterator[list[str]]:
    """Give the lines that are there, without their ends; `name` is a file's, or -.

    errors: "strict" raises CorpusError for what is not UTF-8, "replace" makes U+FFFD of it
    """
    with _opened(name) as stream:
        yield from _split(_utf8(_chunks(stream, name), name, errors), "\n", "\r")


def corpus_lines(
    name: str, options: ReadOptions, tell: Callable[[str], object]
) -> Iterator[list[str]]:
    """Give the lines of a text that is read as a corpus is, as far as a stream can be.

    Single invalid bytes become U+FFFD, which is told at the end. Raises CorpusError as soon as too
    many of what was read are invalid, or any where `options.strict`: before the lines of the chunk
    are given, and so before those of a file that is one.
    """
    with _opened(name) as stream:
        yield from _split(_judged(_chunks(stream, name), name, options, tell), "\n", "\r")


def byte_lines(name: str) -> Iterator[list[bytes]]:
    """Do the same for a model of bytes, which reads any."""
    with _opened(name) as stream:
        yield from _split(_chunks(stream, name), b"\n", b"\r")


def _split(pieces: Iterable[AnyStr], line_feed: AnyStr, carriage: AnyStr) -> Iterator[list[AnyStr]]:
    """Cut a text that comes in pieces into lines, and give those that end with each piece."""
    nothing, begun = line_feed[:0], list[AnyStr]()
    for piece in pieces:
        parts = piece.split(line_feed)
        begun.append(parts[0])  # a line may be long: its pieces are joined once
        if len(parts) > 1:
            parts[0] = nothing.join(begun)
            begun = [parts.pop()]
            yield [line.removesuffix(carriage) for line in parts]
    if last := nothing.join(begun):
        yield [last.removesuffix(carriage)]


def _utf8(chunks: Iterable[bytes], name: str, errors: str) -> Iterator[str]:
    """Decode; a half character waits for the next chunk."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")(errors)
    read, line = 0, 1  # bytes with those of a chunk; the line in which it begins
    try:
        for chunk in chunks:
            read += len(chunk)
            text = decoder.decode(chunk)
            yield text
            line += text.count("\n")
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as fault:
        line += fault.object.count(b"\n", 0, fault.start)
        offset = read - len(fault.object) + fault.start
        raise CorpusError(
            f"{_where(name)} is not UTF-8: invalid byte at line {line}, byte offset {offset}",
            "convert it first, by iconv for example",
        ) from fault


def _judged(
    chunks: Iterable[bytes], name: str, options: ReadOptions, tell: Callable[[str], object]
) -> Iterator[str]:
    """Decode as a corpus is decoded, and refuse what cannot be."""
    decoding, report = Decoding(options.encoding, _where(name)), ReadReport()

    def decoded(data: bytes, final: bool = False) -> str:
        head = data[:HEAD] if decoding.size == 0 else b""
        text = decoding.decode(data, final)
        odd = decoding.invalid_bytes or b"\0" in head  # else it is text, whatever its characters
        if head and odd and (why := why_not_text(head, options.encoding)):
            raise CorpusError(f"{decoding.where} {why[0]}", why[1])
        if decoding.invalid_bytes and (options.strict or decoding.invalid_share > MAX_INVALID):
            raise decoding.refusal()
        return text

    yield from map(decoded, chunks)
    yield decoded(b"", final=True)
    report.note(decoding)
    for line in report.lines():
        tell(line)


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
