"""Cutting the held-out text off a corpus: its last tenth, at most a million bytes.

The cut falls on the same byte whatever the tokenizer, so that scores compare, moved forward to the
next character. Where lines or documents must stay whole it moves on to the next one's beginning.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from charlm.text.documents import Piece
from charlm.text.units import count_bytes

SHARE = 0.1
MAX_BYTES = 1_000_000
MIN_BYTES = 20  # with less than this there is nothing to score

Border = Literal["character", "line", "document"]
Part = Literal["train", "valid"]


class Split(NamedTuple):
    """Where the held-out text begins, in bytes, and what must stay whole."""

    offset: int
    border: Border


def held_out_offset(total: int) -> int | None:
    """Give the byte at which the held-out text begins; None for a corpus too small to cut."""
    held_out = min(total - int(total * (1 - SHARE)), MAX_BYTES)
    return total - held_out if held_out >= MIN_BYTES else None


def split_pieces(pieces: Iterable[Piece], split: Split | None) -> Iterator[tuple[Part, Piece]]:
    """Say of each piece whether it is for training or held out; one piece is cut in two."""
    done, part = 0, "train"
    for piece in pieces:
        if split is None or part == "valid":
            yield ("train" if split is None else "valid"), piece
            continue
        size = _size(piece)
        index = _cut(piece, size, split.offset - done, split.border)
        done += size
        if index is None:
            yield "train", piece
            continue
        part = "valid"
        data = _bytes(piece)
        if index > 0:
            yield "train", Piece(_like(piece, data[:index]), piece.starts_document)
        if index < len(data):
            yield "valid", Piece(_like(piece, data[index:]), True)


def _cut(piece: Piece, size: int, offset: int, border: Border) -> int | None:
    """Find at which byte of this piece the held-out text begins; None if not in it."""
    if piece.starts_document and offset <= 0:
        return 0
    if border == "document" or offset >= size:
        return None
    data = _bytes(piece)
    index = max(offset, 0)
    if border == "line":
        end = data.find(b"\n", max(index - 1, 0))
        return None if end < 0 else end + 1
    while index < len(data) and data[index] & 0xC0 == 0x80:
        index += 1
    return index


def _size(piece: Piece) -> int:
    return len(piece.text) if isinstance(piece.text, bytes) else count_bytes(piece.text)


def _bytes(piece: Piece) -> bytes:
    return piece.text if isinstance(piece.text, bytes) else piece.text.encode()


def _like(piece: Piece, data: bytes) -> str | bytes:
    return data if isinstance(piece.text, bytes) else data.decode()
