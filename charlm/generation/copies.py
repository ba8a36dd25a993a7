"""How much of a text was copied: the longest run of it that stands verbatim in another.

Runs are of whole characters. A character that could not be read, U+FFFD, is a copy of nothing.
"""

from bisect import bisect_left
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

from charlm.generation.text_index import TextIndex
from charlm.text.tokenizers import Decoder, refuse_surrogates

SHOWN = 60  # characters of a run that are shown to people


@dataclass(frozen=True)
class Copy:
    """The longest run of a text that stands verbatim in the training text.

    characters: its length
    text:       the run itself
    start:      the index of its first character in the text
    offset:     the byte of the training text, its documents one behind the other, at which it
                stands there first; None where not one character does
    """

    characters: int
    text: str
    start: int
    offset: int | None

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold, under the names that samples have it."""
        return {
            "copied_characters": self.characters,
            "copied_text": self.text,
            "copied_from": self.offset,
        }

    def describe(self) -> str:
        """Tell it in a line."""
        if self.offset is None:
            return "longest copy 0 characters"
        shown = self.text if len(self.text) <= SHOWN else self.text[: SHOWN - 3] + "..."
        unit = "character" if self.characters == 1 else "characters"
        where = f"of the training text at byte {self.offset:,}"
        return f"longest copy {self.characters:,} {unit}, {where}: {shown!r}"


def longest_copy(text: str, index: TextIndex) -> Copy:
    """Find the longest run of a text that stands in an indexed one; of equals, the first.

    Raises CorpusError where the text holds a lone surrogate, which no encoding has.
    """
    refuse_surrogates(text)
    data = text.encode()
    edges = list(accumulate((len(character.encode()) for character in text), initial=0))

    def copied(first: int, end: int) -> bool:
        return index.holds(data[edges[first] : edges[end]])

    first, length, start = 0, 0, 0
    while (end := first + length + 1) <= len(text):
        if copied(first, end):
            # what begins here is copied up to some end, and no further
            ends, here = range(end, len(text)), partial(copied, first)
            more = bisect_left(ends, True, key=lambda end: not here(end + 1))
            length, start, failed = length + 1 + more, first, first
        else:
            failed, step = first, 1
            # what is not copied up to here from a later place on is not from an earlier one either
            while (later := first + step) < end and not copied(later, end):
                failed, step = later, 2 * step
        first = failed + 1
    run = text[start : start + length]
    place = index.find(run.encode()) if run else None
    return Copy(length, run, start, None if place is None else index.offset(place))


class CopyGuard:
    """Watches a text while it is written: which tokens would make it copy too long a run.

    Only what is written counts, not what stands before it: a prompt out of the training text
    gives nobody more of it than `most` characters.
    """

    reason = "copy"
    finished = ""
    complete = False

    def __init__(self, index: TextIndex, most: int, decoder: Decoder) -> None:
        """Forbid runs of more than `most` characters; `decoder` has taken all tokens so far."""
        self._index = index
        self._most = most
        self._decoder = decoder
        self._recent = ""

    def forbids(self, token: int) -> bool:
        """Tell whether the token would complete a run that is too long, also within itself."""
        text = self._recent + self._decoder.peek([token])
        size = self._most + 1
        ends = range(max(size, len(self._recent) + 1), len(text) + 1)
        return any(self._index.holds(text[end - size : end].encode()) for end in ends)

    def take(self, token: int, text: str) -> None:
        """Take the next token, and the text that it has added."""
        self._recent = (self._recent + text)[-self._most :]
