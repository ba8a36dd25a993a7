"""An index of a text: where any stretch of it stands, found by halving.

    text.bin     UTF-8, as `charlm.text.decoding` gives it
    order.bin    uint32, in the machine's own byte order, since a cache stays where it is: places of
                 the text, in the order of what begins there, segment by segment
    index.json   the length of each segment, and what was left out before the text

The text is sorted in segments, so that the memory this takes does not grow with it. A suffix is
sorted by bytes beyond its segment's end too: nothing is lost between two.
"""

import mmap
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from charlm import storage
from charlm.errors import CorpusError
from charlm.generation.suffixes import sort_suffixes
from charlm.predict.kept import kept
from charlm.text.decoding import BORDER, DecodedText, marked

FORMAT = 1
INDEX, TEXT, ORDER = "index.json", "text.bin", "order.bin"
SEGMENT = 1 << 23  # bytes of text sorted at once, which takes 0.4 GB of memory
DEPTH = 1 << 16  # bytes that count in sorting; longer stretches are looked for in parts


class TextIndex:
    """Tells whether and where a stretch of bytes stands in a text; never across its documents."""

    def __init__(
        self,
        text: bytes | mmap.mmap,
        orders: list[memoryview],
        skipped: int = 0,
        depth: int = DEPTH,
    ) -> None:
        """Take a text, the order of each of its segments, and the bytes left out before it."""
        self.skipped = skipped
        self._text = text
        self._orders = orders
        self._depth = depth

    @classmethod
    def of(cls, *documents: str, segment: int = SEGMENT, depth: int = DEPTH) -> "TextIndex":
        """Index texts at hand."""
        text = b"".join([marked(document) + BORDER for document in documents])
        orders = sorted_segments([text], lambda chunk: None, segment, depth)
        return cls(text, [order.data for order in orders], depth=depth)

    @property
    def size(self) -> int:
        """Give the bytes of the text, borders among them."""
        return len(self._text)

    def holds(self, data: bytes) -> bool:
        """Tell whether bytes stand in the text, one behind the other."""
        return any(True for _ in self._found(data))

    def find(self, data: bytes) -> int | None:
        """Give the first place in the text at which bytes stand; None where they do not."""
        for places in self._found(data):
            return int(places.min())
        return None

    def offset(self, place: int) -> int:
        """Give the byte that a place of the text has in the training text, without borders."""
        return self.skipped + place - int(np.searchsorted(self._borders, place))

    def _found(self, data: bytes) -> Iterator[np.ndarray]:
        """Give the places at which bytes stand, of each segment that has any."""
        if len(data) > self._depth:
            yield from self._found_in_parts(data)
            return
        text, size = self._text, len(data)

        def key(place: int) -> bytes:
            return text[place : place + size]

        for order in self._orders:
            first = bisect_left(order, data, key=key)
            if first < len(order) and key(order[first]) == data:
                yield np.asarray(order[first : bisect_right(order, data, first, key=key)])

    def _found_in_parts(self, data: bytes) -> Iterator[np.ndarray]:
        """Give the places of more bytes than are in order: where each part of them stands.

        A text of one letter has its parts everywhere: places are sieved, not compared one by one.
        """
        places, last = self._places(data[: self._depth]), len(data) - self._depth
        for start in [*range(self._depth, last, self._depth), last]:
            if len(places):
                part = self._places(data[start : start + self._depth])
                places = places[np.isin(places + start, part)]
        if len(places):
            yield places

    def _places(self, data: bytes) -> np.ndarray:
        none = np.zeros(0, dtype=np.int64)
        return np.concatenate([none, *self._found(data)])

    @kept
    def _borders(self) -> np.ndarray:
        symbols = np.frombuffer(self._text, dtype=np.uint8)
        pieces = range(0, len(symbols), SEGMENT)
        return np.concatenate(
            [np.flatnonzero(symbols[at : at + SEGMENT] == BORDER[0]) + at for at in pieces]
        )


def sorted_segments(
    chunks: Iterable[bytes],
    keep: Callable[[bytes], object],
    segment: int = SEGMENT,
    depth: int = DEPTH,
) -> Iterator[np.ndarray]:
    """Sort a text that comes in chunks; give the places of each segment, (N,) uint32, in order.

    keep: takes each chunk too, once
    """
    held, start = bytearray(), 0
    for chunk in chunks:
        keep(chunk)
        held += chunk
        while len(held) >= segment + depth:
            order = sort_suffixes(held[: segment + depth], depth)
            yield (order[order < segment] + start).astype(np.uint32)
            del held[:segment]
            start += segment
    if held:
        yield (sort_suffixes(held, depth).astype(np.int64) + start).astype(np.uint32)


def write_index(directory: Path, text: DecodedText) -> None:
    """Index a text in a new directory. Raises DiskError."""
    segments = []
    with storage.new_directory(directory) as writer:
        with writer.open_binary(TEXT) as text_file, writer.open_binary(ORDER) as order_file:
            for order in sorted_segments(text.chunks, text_file.write):
                order_file.write(order.data.cast("B"))
                segments.append(len(order))
        facts = {"format": FORMAT, "segments": segments, "skipped": text.skipped}
        writer.write_json(INDEX, facts)


def open_index(directory: Path) -> TextIndex:
    """Map an index into memory; raise CorpusError where it is missing, unfinished or damaged."""
    storage.verify(directory, CorpusError, contents=True)
    facts = storage.read_json(directory / INDEX, CorpusError)
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise CorpusError(f"{directory} was made by another version of charlm")
    text, order = _mapped(directory / TEXT), memoryview(_mapped(directory / ORDER)).cast("I")
    edges = np.cumsum([0, *facts["segments"]]).tolist()
    if edges[-1] != len(text) or len(order) != len(text):
        raise CorpusError(f"{directory / ORDER} does not fit its description")
    orders = [order[a:b] for a, b in pairwise(edges)]
    return TextIndex(text, orders, facts["skipped"])


def _mapped(path: Path) -> Any:  # noqa: ANN401
    try:
        with path.open("rb") as stream:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as fault:
        raise CorpusError(f"cannot read {path}: {fault}") from fault
