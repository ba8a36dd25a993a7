"""Between a run, which must neither wait nor fail, and a sink, which may do both.

The run puts lines into a queue of limited length; a thread opens the sink and hands them on. A line
that finds the queue full is left out and counted. After its first exception a sink hears no more.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from charlm.sinks.sink import Sink

ROOM = 1000  # lines
CLOSE_SECONDS = 5.0  # that a run waits at its end for what is still on its way
TOLD = 200  # characters of what a sink raised
TAGS = {  # of the logs' numbers; those of validations are tagged by their own names
    "nats": "train/nats",
    "targets": "train/targets",
    "learning_rate": "train/learning_rate",
    "gradient_norm": "train/gradient_norm",
    "skipped": "train/skipped",
    "learning_rate_factor": "train/learning_rate_factor",
    "seconds": "speed/seconds",
    "targets_per_second": "speed/targets_per_second",
}
HELD_OUT = "validation_"


class Delivery:
    """An observer of a run that hands what it hears to one sink."""

    def __init__(
        self,
        name: str,
        open_sink: Callable[[], Sink],
        tell: Callable[[str], None],
        room: int = ROOM,
        close_seconds: float = CLOSE_SECONDS,
    ) -> None:
        """Start; `tell` is called only from within `observe` and `close`."""
        self.name = name
        self._open, self._tell = open_sink, tell
        self._queue: queue.Queue[Mapping[str, Any] | None] = queue.Queue(room)
        self._close_seconds = close_seconds
        self._heard = self._left_out = 0
        self._failure: BaseException | None = None
        self._told = False
        self._thread = threading.Thread(target=self._work, name=f"charlm-{name}", daemon=True)
        self._thread.start()

    def observe(self, line: Mapping[str, Any]) -> None:
        """Take a line; comes back at once, and never raises."""
        if self._has_failed():
            return
        self._heard += 1
        try:
            self._queue.put_nowait(dict(line))
        except queue.Full:
            self._left_out += 1

    def close(self) -> None:
        """Wait a little for what is on its way; tell of what did not arrive."""
        deadline = time.monotonic() + self._close_seconds
        with suppress(queue.Full):
            self._queue.put(None, timeout=0 if self._failure else self._close_seconds)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._has_failed():
            return
        if self._thread.is_alive():
            seconds = f"{self._close_seconds:g} s"
            self._tell(f"warning: {self.name} has not finished within {seconds} of the run's end")
        if self._left_out:
            some = f"{self._left_out:,} of {self._heard:,} lines"
            self._tell(f"warning: {self.name} was too slow, and has missed {some}")

    def _has_failed(self) -> bool:
        if self._failure is not None and not self._told:
            self._told = True
            first = (str(self._failure).strip().splitlines() or [""])[0][:TOLD]
            kind = type(self._failure).__name__
            why = f"{kind}: {first}" if first else kind
            self._tell(f"warning: {self.name} has failed, and is told no more of this run: {why}")
        return self._told

    def _work(self) -> None:
        """Open the sink and hand on what comes, until nothing more will."""
        try:
            sink = self._open()
            while (line := self._queue.get()) is not None:
                hand_on(line, sink)
            sink.close()
        except BaseException as fault:  # a sink may raise anything, and must not be heard
            self._failure = fault


def hand_on(line: Mapping[str, Any], sink: Sink) -> None:
    """Give a sink a line's numbers; those that were not finite are null, and left out."""
    step = int(line.get("rolled_back_to", line["step"]))
    if "rolled_back_to" in line:
        sink.go_back(step)
    tagged = {tag: line[name] for name in line if (tag := _tag(name)) is not None}
    values = {tag: float(value) for tag, value in tagged.items() if value is not None}
    if values:
        sink.write(step, values)


def _tag(name: str) -> str | None:
    if name.startswith(HELD_OUT):
        return "validation/" + name.removeprefix(HELD_OUT)
    return TAGS.get(name)
