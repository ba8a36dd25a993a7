"""The journal of a study: one JSON line for each thing that happens, shared by all who search.

Optuna's, with two differences. It is written through `charlm.storage`, so that a full disk is a
DiskError. And a line that a killed process or a failing disk has left broken at its end is cut off
before anything is written behind it, and kept beside the journal: Optuna would write on in the same
line, after which no process could read the study any more.
"""

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from charlm import storage
from charlm.errors import ModelError
from charlm.runs.dialogue import Tell

BROKEN = "broken"
GRACE = 5  # seconds without change after which a lock counts as a dead process's
PIECE = 1 << 16  # bytes in which the last line is looked for


class Journal(JournalFileBackend):
    """A journal file; its lock is a file made exclusively, as shared disks can."""

    def __init__(self, path: Path, tell: Tell) -> None:
        self.path, self._tell = path, tell
        self._own_lock = JournalFileOpenLock(str(path), GRACE)
        super().__init__(str(path), lock_obj=self._own_lock)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines at the end, behind a whole line."""
        with self._locked():
            if not _ends_whole(self.path):
                self._cut()
            log = storage.LineLog(self.path)
            try:
                for entry in logs:
                    log.append(entry)
                log.sync()
            finally:
                log.close()

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Give the lines from a number on; raise ModelError for a broken one among them."""
        try:
            yield from super().read_logs(log_number_from)
        except ValueError as fault:
            raise ModelError(
                f"{self.path} is damaged: {fault}",
                "the same command again cuts off what is broken, and goes on",
            ) from fault

    def mend(self) -> None:
        """Look at all lines; cut off what begins with a broken one. For before it is read."""
        with self._locked():
            self._cut()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._own_lock.acquire()
        try:
            yield
        finally:
            self._own_lock.release()

    def _cut(self) -> None:
        whole = sum(len(line) for line in _whole_lines(self.path))
        lost = self.path.stat().st_size - whole
        if lost:
            copy = storage.cut_off(self.path, whole, BROKEN)
            self._tell(
                f"{self.path} ended in a broken line, left by a process or a disk that failed: "
                f"its last {lost:,} bytes are in {copy.name} now"
            )


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Give the lines before the first that is no whole line of JSON."""
    with path.open("rb") as stream:
        for line in stream:
            if not _is_whole(line):
                return
            yield line


def _ends_whole(path: Path) -> bool:
    """Tell whether the last line is whole; only the end of the file is read."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        tail, begin = b"", size
        while begin > 0 and tail.count(b"\n", 0, -1) == 0:
            begin = max(0, begin - PIECE)
            stream.seek(begin)
            tail = stream.read(size - begin)
    return not size or _is_whole(tail[tail.rfind(b"\n", 0, -1) + 1 :])


def _is_whole(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
