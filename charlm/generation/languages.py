"""What a text must be: what it may begin with, and when it is complete.

A language is asked with whole texts, so it is a value and keeps nothing in mind.
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from charlm.errors import UsageError

SECONDS = 0.5  # that a pattern may take to judge one text
# a letter of each kind, by which it is found out whether a character that is begun can be finished
PROBES = "".join(map(chr, range(32, 127))) + "\n\r\t" + "\xa0éßøЖяαΩשبकไ漢あア한€“”’–—…→☃😀𝛼"


class Language(Protocol):
    """Texts that may be written."""

    ends: bool  # whether a text that is complete may end for that reason alone

    def begins(self, text: str) -> bool:
        """Tell whether a text can go on to a complete one, or is one."""

    def holds(self, text: str) -> bool:
        """Tell whether a text is complete."""

    def probes(self) -> str:
        """Give characters that could come next, one of each kind."""


class PatternLanguage:
    """The texts that a regular expression matches as a whole, by the package `regex`.

    Raises UsageError for what is no expression, and for one that takes too long to match.
    """

    ends = True

    def __init__(self, pattern: str) -> None:
        self._pattern, self._compiled = pattern, _compiled(pattern)
        if self._match("") is None:
            raise UsageError(f"no text can match the regular expression {pattern!r}")

    def begins(self, text: str) -> bool:
        """Tell whether a text can go on to a match, or is one."""
        return self._match(text) is not None

    def holds(self, text: str) -> bool:
        """Tell whether a text matches."""
        found = self._match(text)
        return found is not None and not found.partial

    def probes(self) -> str:
        """Give characters of each kind, and those of the expression itself."""
        return PROBES + "".join(dict.fromkeys(c for c in self._pattern if not c.isascii()))

    def _match(self, text: str) -> Any:  # noqa: ANN401
        try:
            return self._compiled.fullmatch(text, partial=True, timeout=SECONDS)
        except TimeoutError:
            raise UsageError(
                f"the regular expression {self._pattern!r} takes more than {SECONDS} s on one text",
                "write it without repetitions inside repetitions",
            ) from None


class WordLanguage:
    """One of some words or phrases, perhaps with a space before it."""

    ends = True

    def __init__(self, words: Sequence[str]) -> None:
        if isinstance(words, str) or not words or not all(isinstance(w, str) and w for w in words):
            raise UsageError("words must be a list of texts, and none of them empty")
        self._words = sorted({form for word in words for form in (word, f" {word.lstrip()}")})

    def begins(self, text: str) -> bool:
        """Tell whether some word begins so."""
        place = bisect_left(self._words, text)
        return place < len(self._words) and self._words[place].startswith(text)

    def holds(self, text: str) -> bool:
        """Tell whether it is one of the words."""
        place = bisect_left(self._words, text)
        return place < len(self._words) and self._words[place] == text

    def probes(self) -> str:
        """Give all characters of the words."""
        return "".join(sorted(set("".join(self._words))))


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

    def probes(self) -> str:
        """Give what comes next of the prefix, and anything after it."""
        return PROBES + self._prefix


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
        raise UsageError(f"{pattern!r} is no regular expression: {fault.msg}{at}") from fault
