"""Languages of texts that are written beside others: what takes too long fails its order alone."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from charlm.errors import UsageError
from charlm.generation.languages import SIMPLER, Language

Found = TypeVar("Found")


class ConstraintError(UsageError):
    """A text cannot be of the language that was asked for, or to judge it takes too long."""


class BoundedLanguage:
    """A language that may take so many seconds of a processor for all samples' next tokens.

    `allow` begins to count anew. Raises ConstraintError where it takes longer, or fails.
    """

    def __init__(self, language: Language, seconds: float) -> None:
        self._language, self.ends = language, language.ends
        self._seconds = self._left = seconds

    def allow(self) -> None:
        """Give it time for one more token of each sample."""
        self._left = self._seconds

    def begins(self, text: str) -> bool:
        """Tell whether a text can go on to a complete one, or is one."""
        return self._timed(lambda: self._language.begins(text))

    def holds(self, text: str) -> bool:
        """Tell whether a text is complete."""
        return self._timed(lambda: self._language.holds(text))

    def probes(self, text: str, pending: bytes = b"") -> Iterable[str]:
        """Give characters that could come next."""
        return self._timed(lambda: list(self._language.probes(text, pending)))

    def _timed(self, judge: Callable[[], Found]) -> Found:
        began = time.thread_time()
        try:
            found = judge()
        except UsageError as error:
            raise ConstraintError(error.message, error.hint) from error
        self._left -= time.thread_time() - began
        if self._left < 0:
            raise ConstraintError(f"it takes more than {self._seconds:g} s at one token", SIMPLER)
        return found


def complaint(error: UsageError) -> str:
    """Give what is wrong with a language, as it is told behind the field that asked for it."""
    hint = f": {error.hint}" if error.hint else ""
    return f"cannot be that: {error.message[:200]}{hint}"
