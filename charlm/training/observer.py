"""Who else hears what a run logs, such as a dashboard. The loop knows no more of them than this."""

from collections.abc import Mapping
from typing import Any, Protocol


class Observer(Protocol):
    """Is handed each line of metrics.jsonl and timings.jsonl when it is written.

    The run waits for it, and would end with what it raises: it must come back at once, and never
    raise.
    """

    def observe(self, line: Mapping[str, Any]) -> None:
        """Take a line, which is not to be altered."""

    def close(self) -> None:
        """Take note that no line will come any more."""
