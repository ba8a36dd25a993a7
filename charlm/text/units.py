"""What a text is counted in: bytes, characters, words and lines.

Every score can be given per any of them, whatever the tokenizer. A word is a maximal run without
white space (Unicode's, as str.split has it); lines are counted as line feeds.
"""

import codecs
from dataclasses import dataclass
from functools import cache

import numpy as np

LARGE = 1 << 12  # characters from which words are counted in an array; below, str.split is faster


@dataclass(frozen=True)
class Units:
    """The size of a text in four units."""

    bytes: int = 0
    characters: int = 0
    words: int = 0
    lines: int = 0

    def __add__(self, other: "Units") -> "Units":
        return Units(
            self.bytes + other.bytes,
            self.characters + other.characters,
            self.words + other.words,
            self.lines + other.lines,
        )


class UnitCounter:
    """Counts a text that comes in pieces; how it is cut makes no difference."""

    def __init__(self) -> None:
        # plain numbers: there may be a counter for every line of a large text
        self._bytes = 0
        self._characters = 0
        self._words = 0
        self._lines = 0
        self._in_word = False
        self._decoder: codecs.IncrementalDecoder | None = None

    def add(self, piece: str | bytes) -> None:
        """Count one piece; bytes are counted as they are, and decoded to count the rest."""
        if isinstance(piece, bytes):
            if self._decoder is None:
                self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
            self._count(self._decoder.decode(piece), len(piece))
        else:
            self._count(piece, count_bytes(piece))

    def total(self) -> Units:
        """Give the counts of all pieces so far, as of a text that ends here."""
        units = Units(self._bytes, self._characters, self._words, self._lines)
        if self._decoder is None or not self._decoder.getstate()[0]:
            return units
        starts_word = not self._in_word
        return units + Units(characters=1, words=int(starts_word))

    def _count(self, text: str, size: int) -> None:
        self._bytes += size
        if not text:
            return
        self._characters += len(text)
        self._lines += text.count("\n")
        self._words += count_words(text) - (self._in_word and not text[0].isspace())
        self._in_word = not text[-1].isspace()


def count_units(text: str | bytes) -> Units:
    """Count a whole text."""
    counter = UnitCounter()
    counter.add(text)
    return counter.total()


def count_bytes(text: str) -> int:
    """Count the bytes of a text's UTF-8; half of a surrogate pair has three."""
    if text.isascii():
        return len(text)
    if len(text) < LARGE:
        return len(text.encode("utf-8", "surrogatepass"))
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype="<u2")
    size = len(units) + np.count_nonzero(units >= 0x80) + np.count_nonzero(units >= 0x800)
    pairs = len(units) - len(text)  # of six bytes so far, where UTF-8 has four
    return int(size) - 2 * pairs


def count_words(text: str) -> int:
    """Count the maximal runs without white space: len(text.split()), without making them."""
    if len(text) < LARGE:
        return len(text.split())
    if text.isascii():
        codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
        # unsigned: what is below the first of a range becomes large
        spaces = (codes == 32) | (codes - np.uint8(9) < 5) | (codes - np.uint8(28) < 4)
    else:
        # a character of two units is no space, and neither is any surrogate
        spaces = _white_units()[
            np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype="<u2")
        ]
    return int(np.count_nonzero(spaces[:-1] > spaces[1:])) + int(not spaces[0])


@cache
def _white_units() -> np.ndarray:
    """Tell of each unit of 16 bits whether it is white space, (65536,); none is beyond them."""
    return np.array([chr(unit).isspace() for unit in range(1 << 16)])
