"""What a text must be: what it may begin with, and when it is complete.

A language is asked with whole texts, so it is a value and keeps nothing in mind.
"""

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol

from charlm.errors import UsageError
from charlm.generation.kinds import CharacterKinds, alike, first_beginning, has_flag

SECONDS = 0.5  # that a pattern may take to judge one text
SIMPLER = "write it without repetitions inside repetitions"
REFERENCE = re.compile(r"\\[1-9gk]|\(\?P=")


class Language(Protocol):
    """Texts that may be written."""

    @property
    def ends(self) -> bool:
        """Tell whether a text that is complete may end for that reason alone."""

    def begins(self, text: str) -> bool:
        """Tell whether a text can go on to a complete one, or is one."""

    def holds(self, text: str) -> bool:
        """Tell whether a text is complete."""

    def probes(self, text: str, pending: bytes = b"") -> Iterable[str]:
        """Give characters that could come next; if any goes on with the text, so does one of them.

        pending: that their UTF-8 begins with
        """


class PatternLanguage:
    """The texts that a regular expression matches as a whole, by the package `regex`.

    seconds: that it may take to judge one text. Raises UsageError for what is no expression, and
    for one that takes longer.
    """

    ends = True

    def __init__(self, pattern: str, seconds: float = SECONDS) -> None:
        self._pattern, self._compiled = pattern, _compiled(pattern)
        self._seconds = seconds
        self._kinds: CharacterKinds | None = None
        if self._match("") is None:
            raise UsageError(f"no text can match the regular expression {pattern!r:.60}")

    def begins(self, text: str) -> bool:
        """Tell whether a text can go on to a match, or is one."""
        return self._match(text) is not None

    def holds(self, text: str) -> bool:
        """Tell whether a text matches."""
        found = self._match(text)
        return found is not None and not found.partial

    def probes(self, text: str, pending: bytes = b"") -> Iterable[str]:
        """Give one character of each kind that the expression tells apart."""
        yield from self.prepare().beginning(pending)
        if REFERENCE.search(self._pattern):  # what was written may have to be written again
            known = alike(text) if has_flag(self._pattern, "i") else set(text)
            yield from (c for c in sorted(known) if c.encode().startswith(pending))

    def prepare(self, seconds: float = math.inf) -> CharacterKinds:
        """Find the kinds of characters that it tells apart, which may take a while.

        Raises UsageError where it takes a processor longer than so many seconds.
        """
        if self._kinds is None:
            self._kinds = _kinds(self._pattern, seconds)
        return self._kinds

    def _match(self, text: str) -> Any:  # noqa: ANN401
        try:
            return self._compiled.fullmatch(text, partial=True, timeout=self._seconds)
        except TimeoutError:
            told, seconds = f"{self._pattern!r:.60}", f"{self._seconds:g} s"
            raise UsageError(
                f"the regular expression {told} takes more than {seconds} on one text", SIMPLER
            ) from None


class WordLanguage:
    """One of some words or phrases, perhaps with a space before it, if the text before has none.

    spaced: whether a space may come first
    """

    ends = True

    def __init__(self, words: Sequence[str], spaced: bool = True) -> None:
        if isinstance(words, str) or not words or not all(isinstance(w, str) and w for w in words):
            raise UsageError("words must be a list of texts, and none of them empty")
        forms = {*words, *(f" {word.lstrip()}" for word in words if spaced)}
        self._words = sorted(forms)

    def begins(self, text: str) -> bool:
        """Tell whether some word begins so."""
        place = bisect_left(self._words, text)
        return place < len(self._words) and self._words[place].startswith(text)

    def holds(self, text: str) -> bool:
        """Tell whether it is one of the words."""
        place = bisect_left(self._words, text)
        return place < len(self._words) and self._words[place] == text

    def probes(self, text: str, pending: bytes = b"") -> Iterable[str]:
        """Give the next character of each word that begins so."""
        size = len(text)
        place = bisect_left(self._words, text + first_beginning(pending))
        while place < len(self._words) and self._words[place].startswith(text):
            after = self._words[place][size : size + 1]
            if not after.encode().startswith(pending):
                return
            yield after
            place = bisect_right(self._words, text + after, key=lambda word: word[: size + 1])


class PrefixLanguage:
    """The texts that begin with another one; they end where the model ends them."""

    ends = False

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def begins(self, text: str) -> bool:
        """Tell whether a text agrees with the prefix."""
        return text.startswith(self._prefix) or self._prefix.startswith(text)

    def holds(self, text: str) -> bool:
        """Tell whether the prefix stands at its beginning."""
        return text.startswith(self._prefix)

    def probes(self, text: str, pending: bytes = b"") -> Iterable[str]:
        """Give what comes next of the prefix, and anything after it."""
        after = self._prefix[len(text) : len(text) + 1] or first_beginning(pending)
        return after if after.encode().startswith(pending) else ""


@lru_cache(maxsize=64)
def _kinds(pattern: str, seconds: float) -> CharacterKinds:
    return CharacterKinds(pattern, _compiled(pattern), seconds)


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> Any:  # noqa: ANN401
    try:
        import regex
    except ModuleNotFoundError as fault:
        raise UsageError(
            "regular expressions need the package regex", "pip install 'charlm-toolkit[regex]'"
        ) from fault
    try:
        return regex.compile(pattern)
    except regex.error as fault:
        at = "" if fault.pos is None else f" at character {fault.pos}"
        raise UsageError(f"{pattern!r:.60} is no regular expression: {fault.msg}{at}") from fault
    except (ValueError, RecursionError) as fault:  # flags that exclude each other; too deep
        raise UsageError(f"{pattern!r:.60} is no regular expression: {fault}") from fault
