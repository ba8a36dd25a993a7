"""How often the many streams of a server are written to.

What an event costs, to be made and sent, is more than a token costs the model among many. So where
there are many streams an event waits a little and brings several tokens: all events together take
about the same time then, however many streams there are.
"""

from collections.abc import Iterator
from contextlib import contextmanager

EACH = 0.0005  # seconds between two events of any streams


class Pace:
    """What the streams of a server keep to."""

    def __init__(self) -> None:
        self._streams = 0

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Count one stream more, for a while."""
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    @property
    def pause(self) -> float:
        """Seconds to wait after an event: as long as the other streams may take for theirs."""
        return EACH * max(self._streams - 1, 0)
