"""What can be done with a piece of a large text in another process."""

from abc import ABC, abstractmethod
from collections import Counter
from typing import Any, Generic, NamedTuple, Self, TypeVar

import numpy as np

from charlm.text.loading import tokenizer_from_json
from charlm.text.pretokens import MAX_WORD, find_chunks
from charlm.text.symbols import UNKNOWN
from charlm.text.tokenizers import ID_TYPE, Ids, Tokenizer

Result = TypeVar("Result")


class Task(ABC, Generic[Result]):
    """Something to do with a text; and how it and its results travel."""

    @abstractmethod
    def run(self, text: str) -> Result:
        """Do it."""

    @abstractmethod
    def pack(self, result: Result) -> bytes:
        """Turn a result into bytes."""

    @abstractmethod
    def unpack(self, data: bytes) -> Result:
        """Turn the bytes of a result into the result."""

    def setup(self) -> bytes:
        """Give what the same task is made of elsewhere."""
        return b""

    @classmethod
    def made_of(cls, setup: bytes) -> Self:
        """Make the task from what `setup` gave."""
        return cls()


class Encoding(Task[Ids]):
    """Encoding whole parts of a text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def run(self, text: str) -> Ids:
        """Encode a part."""
        return self._tokenizer.encode_part(text)

    def pack(self, result: Ids) -> bytes:
        """Give the bytes of the array."""
        return result.tobytes()

    def unpack(self, data: bytes) -> Ids:
        """Give the array."""
        return np.frombuffer(data, dtype=ID_TYPE)

    def setup(self) -> bytes:
        """Give tokenizer.json."""
        return self._tokenizer.to_json().encode()

    @classmethod
    def made_of(cls, setup: bytes) -> Self:
        """Read tokenizer.json."""
        return cls(tokenizer_from_json(setup.decode(), "tokenizer.json"))


class Counted(NamedTuple):
    """How often each string is in a text; its first chunk, which has no space before it, apart."""

    first: str
    counts: dict[str, int]


class Counting(Task[Counted]):
    """Counting something in a text."""

    def pack(self, result: Counted) -> bytes:
        """Give the number of strings, their lengths and counts, and the strings."""
        strings = [result.first, *result.counts]
        numbers = np.zeros(1 + 2 * len(strings), dtype="<i8")
        numbers[0] = len(strings)
        numbers[1 : len(strings) + 1] = list(map(len, strings))
        numbers[len(strings) + 2 :] = list(result.counts.values())
        return numbers.tobytes() + "".join(strings).encode("utf-8", "surrogatepass")

    def unpack(self, data: bytes) -> Counted:
        """Give the counts."""
        many = int(np.frombuffer(data, dtype="<i8", count=1)[0])
        lengths, counts = np.frombuffer(data, "<i8", 2 * many, offset=8).reshape(2, many)
        ends = lengths.cumsum()
        text = data[8 + 16 * many :].decode("utf-8", "surrogatepass")
        edges = zip((ends - lengths).tolist(), ends.tolist(), strict=True)
        first, *strings = [text[start:end] for start, end in edges]
        return Counted(first, dict(zip(strings, counts[1:].tolist(), strict=True)))


class ChunkCounting(Counting):
    """Counting chunks."""

    def run(self, text: str) -> Counted:
        """Count the chunks of a text."""
        first, *others = find_chunks(text)
        return Counted(first, Counter(others))


class WordCounting(Counting):
    """Counting white-space pieces; one too long for any vocabulary counts as unknown."""

    def run(self, text: str) -> Counted:
        """Count the white-space pieces of a text."""
        words = text.split()
        if max(map(len, words), default=0) > MAX_WORD:
            words = [word if len(word) <= MAX_WORD else UNKNOWN for word in words]
        return Counted("", Counter(words))


def name_of(task: type[Task[Any]]) -> str:
    """Give the name by which another process finds a task."""
    return task.__name__
