"""Other processes that work on a large text, a piece each, while this one reads and writes.

They are plain programs at the ends of two pipes: each takes a text, does its task with it and
answers. They end when their pipe does, however this process ends, and belong to a session of
their own, so that a signal for the terminal's group does not reach them. What a worker that died
left undone is done here. With the same task the results are the same, wherever it is done.
"""

import os
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from charlm.text.tasks import Task, name_of

LARGE = 32_000_000  # characters that are worked on here before others are called for help
SMALL = 1 << 16  # characters of a text that is not worth sending
MAX_WORKERS = 2
HEADER = struct.Struct("<q")  # the length of what comes
PROGRAM = "import signal\nfor name in ('SIGINT', 'SIGTERM', 'SIGHUP'):\n"
PROGRAM += "    if hasattr(signal, name): signal.signal(getattr(signal, name), signal.SIG_IGN)\n"
PROGRAM += "from charlm.text.worker import serve\nserve()"

Result = TypeVar("Result")
Tag = TypeVar("Tag")


class Worker:
    """One process, which does one thing at a time."""

    def __init__(self, task: Task[Any]) -> None:
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        self._job: Job | None = None
        self._send(name_of(type(task)).encode())
        self._send(task.setup())

    def take(self, job: "Job") -> None:
        """Begin a job, when the one before is done."""
        self.finish()
        if self._send(job.text.encode("utf-8", "surrogatepass")):
            self._job = job

    def finish(self) -> None:
        """Wait for the answer to the job in hand."""
        if self._job is not None:
            job, self._job = self._job, None
            job.answer = self._receive()

    def end(self) -> None:
        """End the process at once."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._process.wait()

    def _send(self, data: bytes) -> bool:
        assert self._process.stdin is not None
        with suppress(OSError):  # it died: the job has no answer
            self._process.stdin.write(HEADER.pack(len(data)))
            self._process.stdin.write(data)
            self._process.stdin.flush()
            return True
        return False

    def _receive(self) -> bytes | None:
        assert self._process.stdout is not None
        head = self._process.stdout.read(HEADER.size)
        if len(head) < HEADER.size:
            return None
        (length,) = HEADER.unpack(head)
        answer = self._process.stdout.read(length)
        return answer if len(answer) == length else None


class Job:
    """A text that a worker has in hand, or that nobody has."""

    def __init__(self, text: str, worker: Worker | None) -> None:
        self.text = text
        self.answer: bytes | None = None
        self._worker = worker
        if worker is not None:
            worker.take(self)

    def wait(self) -> bytes | None:
        """Give the worker's answer; None if there is none."""
        if self.answer is None and self._worker is not None:
            self._worker.finish()
        return self.answer


class Workers(Generic[Result]):
    """Does a task with many texts; calls for help when they turn out to be large."""

    def __init__(self, task: Task[Result], most: int = MAX_WORKERS) -> None:
        self._task = task
        self._most = most if _processors() > 1 else 0
        self._workers: deque[Worker] = deque()
        self._seen = 0

    def work(self, texts: Iterable[tuple[Tag, str]]) -> Iterator[tuple[Tag, Result]]:
        """Give the results of texts in their order, each with the tag that came with it."""
        waiting: deque[tuple[Tag, Job]] = deque()
        for tag, text in texts:
            waiting.append((tag, Job(text, self._next(len(text)))))
            while len(waiting) > len(self._workers):
                yield self._result(*waiting.popleft())
        while waiting:
            yield self._result(*waiting.popleft())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.end()

    def _next(self, size: int) -> Worker | None:
        self._seen += size
        if size < SMALL or self._seen < LARGE or self._most == 0:
            return None
        if not self._workers:
            self._start()
        if not self._workers:
            return None
        self._workers.rotate(1)
        return self._workers[0]

    def _start(self) -> None:
        for _ in range(self._most):
            with suppress(OSError):  # the system has no room for more: it goes without
                self._workers.append(Worker(self._task))
        self._most = len(self._workers)

    def _result(self, tag: Tag, job: Job) -> tuple[Tag, Result]:
        answer = job.wait()
        return tag, self._task.run(job.text) if answer is None else self._task.unpack(answer)


def do_elsewhere(task: Task[Result], text: str) -> Result:
    """Do one thing in a process of its own; here where none can be started, or if it dies."""
    try:
        worker = Worker(task)
    except OSError:  # the system has no room for more
        return task.run(text)
    try:
        answer = Job(text, worker).wait()
    finally:
        worker.end()
    return task.run(text) if answer is None else task.unpack(answer)


def _processors() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
