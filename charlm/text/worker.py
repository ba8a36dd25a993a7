"""The other end of a worker's pipes: takes a text, does its task, answers, until the pipe ends."""

import sys
from typing import Any

from charlm.text.merges import MergeLearning
from charlm.text.tasks import ChunkCounting, Encoding, Task, WordCounting, name_of
from charlm.text.workers import HEADER

TASKS: dict[str, type[Task[Any]]] = {
    name_of(task): task for task in (Encoding, ChunkCounting, WordCounting, MergeLearning)
}


def serve() -> None:
    """Take the name of a task, its setup, and then text after text."""
    name, setup = _receive(), _receive()
    if name is None or setup is None:
        return
    task: Task[Any] = TASKS[name.decode()].made_of(setup)
    while (text := _receive_text()) is not None:
        answer = task.pack(task.run(text))
        sys.stdout.buffer.write(HEADER.pack(len(answer)))
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


def _receive() -> bytes | None:
    """Read what comes; None at the end."""
    head = sys.stdin.buffer.read(HEADER.size)
    if len(head) < HEADER.size:
        return None
    (length,) = HEADER.unpack(head)
    data = sys.stdin.buffer.read(length)
    return data if len(data) == length else None


def _receive_text() -> str | None:
    data = _receive()
    return None if data is None else data.decode("utf-8", "surrogatepass")
