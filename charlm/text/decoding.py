"""A prepared text as UTF-8 again, in a form in which stretches of it can be looked up.

    document 1 \xff document 2 \xff ... document n \xff

No text holds BORDER, so nothing that is looked up reaches over one. UNREADABLE stands for each byte
of what is no UTF-8 and of U+FFFD, which was written in place of such bytes: it matches nothing.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from charlm.text.store import TokenPart
from charlm.text.tokenizers import Tokenizer

BORDER = b"\xff"
UNREADABLE = b"\xfe"
CHUNK = 1 << 18  # ids decoded at a time
# of a text decoded with surrogateescape, in which U+DC80 to U+DCFF are bytes that are no UTF-8
_UNREADABLE = re.compile("[\udc80-\udcfe]|\ufffd")


@dataclass(frozen=True)
class DecodedText:
    """The last bytes of a text, in chunks, and how many bytes before them are left out."""

    chunks: Iterator[bytes]
    skipped: int


def decoded(part: TokenPart, tokenizer: Tokenizer, most: int, chunk: int = CHUNK) -> DecodedText:
    """Decode a part of a corpus, or, where it has more than `most` bytes, about the last of them.

    The closed word form gives its words with a space between them, as it writes them.
    """
    starts = range(1, len(part.ids), chunk)
    sizes, lengths = [], np.array([len(piece) for piece in _pieces(tokenizer)])
    for start in starts:
        sizes.append(_size(part.ids[start - 1 : start + chunk], lengths, tokenizer))
        part.release()
    left, first = sum(sizes), 0
    while left > most and first < len(sizes) - 1:
        left -= sizes[first]
        first += 1
    return DecodedText(_chunks(part, tokenizer, starts[first:]), sum(sizes[:first]))


def _pieces(tokenizer: Tokenizer) -> list[bytes]:
    """Give what each id adds to the text; behind them, what a border does."""
    # a byte of raw data is none of our borders; either is no UTF-8
    pieces = [piece.replace(BORDER, UNREADABLE) for piece in tokenizer.pieces]
    if tokenizer.closed:
        pieces = [b" " + piece for piece in pieces]
        pieces[tokenizer.boundary_id] = b"\n"
    return [*pieces, BORDER]


def _size(ids: np.ndarray, lengths: np.ndarray, tokenizer: Tokenizer) -> int:
    """Measure what ids give but the first, which is told to know whether a line begins."""
    size = int(lengths[ids[1:]].sum())
    if tokenizer.closed:
        line_ends = ids == tokenizer.boundary_id
        size -= int(np.count_nonzero(line_ends[:-1] & ~line_ends[1:]))
    return size


def _chunks(part: TokenPart, tokenizer: Tokenizer, starts: range) -> Iterator[bytes]:
    pieces, ends = _pieces(tokenizer), np.ascontiguousarray(part.boundaries[1:])
    utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    line_begins = part.ids[starts.start - 1] == tokenizer.boundary_id
    for start in starts:
        ids = part.ids[start : start + starts.step].astype(np.int64)
        here = slice(*np.searchsorted(ends, [start, start + len(ids)]))
        ids = np.insert(ids, ends[here] - start + 1, len(pieces) - 1)
        data = b"".join(map(pieces.__getitem__, ids.tolist()))
        part.release()
        if tokenizer.closed:
            data = data.replace(b"\n ", b"\n").replace(BORDER + b" ", BORDER)
            data = data[1:] if line_begins and data.startswith(b" ") else data
            line_begins = data.endswith((b"\n", BORDER))
        yield marked(utf8.decode(data))
    yield marked(utf8.decode(b"", True))


def marked(text: str) -> bytes:
    """Encode a text decoded with surrogateescape, with what is unreadable marked, byte for byte."""
    return _UNREADABLE.sub(_mark, text).encode("utf-8", "surrogateescape")


def _mark(found: re.Match[str]) -> str:
    size = len(found.group().encode("utf-8", "surrogateescape"))
    return (UNREADABLE * size).decode("utf-8", "surrogateescape")
