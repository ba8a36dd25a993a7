"""Contestants that race from processes of their own, in turn: none is in another's memory."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any

from charlm.benchmark.child import Task, child_environment, fault_of

Contestants = Mapping[str, Callable[[], object]]
Facts = dict[str, Any]  # what JSON can hold


class Player:
    """A process with contestants by name, each of which does its part whenever it is its turn.

    maker: a function of a module: makes the contestants of a task, and facts about them; both are
    what JSON can hold. `environment` is added to this process's. Raises OutOfMemoryError or
    LostProcessError, now or at a turn, where the process has ended.
    """

    def __init__(
        self,
        maker: Callable[[Task], tuple[Facts, Contestants]],
        task: Task,
        environment: Mapping[str, str],
    ) -> None:
        module, name = maker.__module__, maker.__name__
        program = f"from charlm.benchmark.players import play; from {module} import {name}; "
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"{program}play({name})"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=child_environment() | dict(environment),
        )
        self.facts, names = self._ask(task)
        self.contestants: Contestants = {name: partial(self._ask, name) for name in names}

    def __enter__(self) -> "Player":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, question: Any) -> Any:  # noqa: ANN401
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            _, said = self._process.communicate()
            raise fault_of(self._process.returncode, said)
        return json.loads(answer)


def play(maker: Callable[[Task], tuple[Facts, Contestants]]) -> None:
    """Make contestants and let them play whenever they are named: the child's side."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anyone prints is no answer
    facts, contestants = maker(json.loads(sys.stdin.readline()))
    answers.write(json.dumps([facts, list(contestants)]) + "\n")
    answers.flush()
    for line in sys.stdin:
        contestants[json.loads(line)]()
        answers.write("true\n")
        answers.flush()
