"""Trackio: the project `charlm` on this machine; `trackio show` shows it.

Trackio prints on standard output, where a command's result belongs. While it opens and closes,
what its thread prints there goes to standard error.
"""

import io
import sys
import threading
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import TextIO

from charlm.sinks.sink import PROJECT, SinkRun


class Trackio:
    """Logs to a run of its own name, which a resumed run goes on with."""

    def __init__(self, run: SinkRun) -> None:
        import trackio

        name, known = run.identity("trackio")
        with _own_prints_as_errors():
            self._run = trackio.init(
                project=PROJECT,
                name=name,
                resume="allow" if known else "never",
                config=dict(run.config),
            )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log values."""
        self._run.log(dict(values), step=step)

    def go_back(self, step: int) -> None:
        """Leave what was logged: the curve will have two branches."""

    def close(self) -> None:
        """Wait until all is written."""
        with _own_prints_as_errors():
            self._run.finish()


class _Divided(io.TextIOBase):
    """Standard output for all threads but one, whose words go to standard error."""

    def __init__(self, usual: TextIO) -> None:
        self._usual, self._thread = usual, threading.get_ident()

    def write(self, text: str) -> int:
        """Write where the thread's words belong."""
        mine = threading.get_ident() == self._thread
        return (sys.stderr if mine else self._usual).write(text)

    def flush(self) -> None:
        """Flush the usual stream."""
        self._usual.flush()


def _own_prints_as_errors() -> redirect_stdout[_Divided]:
    return redirect_stdout(_Divided(sys.stdout))
