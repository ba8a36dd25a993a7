"""Lines that come again: in one text, or of one text in another, told in bounded memory.

Of more than `MAX_LINES` different lines a sample is kept, by their digest, so that every repetition
of a line that is in the sample is counted (Gibbons 2001, distinct sampling).
"""

from collections.abc import Iterator
from hashlib import blake2b

MAX_LINES = 200_000  # different lines kept; each takes about 120 bytes
MAX_LENGTH = 1 << 16  # characters of a line that are looked at; the longer ones are as good


def digest(line: str) -> int:
    """Give a number that stands for a line; blanks around it make no difference."""
    data = line[:MAX_LENGTH].strip().encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


class LineSample:
    """How often each line of a text comes, for as many different lines as are kept."""

    def __init__(self, max_lines: int = MAX_LINES) -> None:
        self.counts: dict[int, int] = {}
        self._max_lines = max_lines
        self._mask = 0  # a digest belongs to the sample where these bits are all zero

    def add(self, number: int) -> None:
        """Count one line, given as its digest."""
        if number & self._mask:
            return
        self.counts[number] = self.counts.get(number, 0) + 1
        while len(self.counts) > self._max_lines:
            self._mask = 2 * self._mask + 1
            self.counts = {n: count for n, count in self.counts.items() if not n & self._mask}

    @property
    def sampled(self) -> bool:
        """Tell whether some lines were left out, so that shares are estimates."""
        return self._mask > 0

    def repeated_share(self) -> float:
        """Give the share of lines that stood in the text before."""
        total = sum(self.counts.values())
        return (total - len(self.counts)) / total if total else 0.0

    def share_in(self, seen: set[int]) -> float:
        """Give the share of lines that are among those seen elsewhere."""
        total = sum(self.counts.values())
        return sum(self.counts[number] for number in seen & self.counts.keys()) / max(total, 1)


class LineCutter:
    """Cuts the pieces of documents into lines; of a long one only its beginning is held."""

    def __init__(self) -> None:
        self.longest = 0
        self._held = ""
        self._size = 0

    def push(self, text: str, starts_document: bool) -> Iterator[str]:
        """Take the next piece; give the lines that it ends. A document ends its last line."""
        if starts_document and self._size:
            yield from self.flush()
        first, *others = text.split("\n")
        self._grow(first)
        if not others:
            return
        yield from self.flush()
        *whole, last = others
        if whole:
            self.longest = max(self.longest, max(map(len, whole)))
            yield from whole
        self._grow(last)

    def flush(self) -> Iterator[str]:
        """End the line that is held."""
        self.longest = max(self.longest, self._size)
        line, self._held, self._size = self._held, "", 0
        yield line

    def _grow(self, part: str) -> None:
        self._size += len(part)
        if len(self._held) < MAX_LENGTH:
            self._held += part[:MAX_LENGTH]
