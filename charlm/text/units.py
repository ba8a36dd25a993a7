"""What a text is counted in: bytes, characters, words and lines.

Every score can be given per any of them, whatever the tokenizer. A word is a maximal run without
white space (Unicode's, as str.split has it); lines are counted as line feeds.
"""

import codecs
from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Units:
    """The size of a text in four units."""

    bytes: int = 0
    characters: int = 0
    words: int = 0
    lines: int = 0

    def __add__(self, other: "Units") -> "Units":
        return Units(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


class UnitCounter:
    """Counts a text that comes in pieces; how it is cut makes no difference."""

    def __init__(self) -> None:
        self._units = Units()
        self._in_word = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, piece: str | bytes) -> None:
        """Count one piece; bytes are counted as they are, and decoded to count the rest."""
        if isinstance(piece, bytes):
            self._count(self._decoder.decode(piece), len(piece))
        else:
            self._count(piece, len(piece.encode("utf-8", "surrogatepass")))

    def total(self) -> Units:
        """Give the counts of all pieces so far, as of a text that ends here."""
        left = self._decoder.getstate()[0]
        if not left:
            return self._units
        starts_word = not self._in_word
        return self._units + Units(characters=1, words=int(starts_word))

    def _count(self, text: str, size: int) -> None:
        words = 0
        if text:
            words = len(text.split())
            if self._in_word and not text[0].isspace():
                words -= 1
            self._in_word = not text[-1].isspace()
        self._units += Units(size, len(text), words, text.count("\n"))


def count_units(text: str | bytes) -> Units:
    """Count a whole text."""
    counter = UnitCounter()
    counter.add(text)
    return counter.total()
