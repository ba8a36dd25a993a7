"""Measuring in a process of its own: its memory is its own, and so is its number of threads."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from charlm.errors import CharlmError, LostProcessError, OutOfMemoryError
from charlm.training.memory import HINT, memory_errors

KILLED = -9  # by the system, for want of memory
LIBRARIES = ("OMP", "OPENBLAS", "MKL", "VECLIB", "NUMBA")
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in LIBRARIES} | {"VECLIB_MAXIMUM_THREADS": "1"}

Task = dict[str, Any]


def ask_child(
    function: Callable[[Task], Any], task: Task, environment: Mapping[str, str] | None = None
) -> Any:  # noqa: ANN401  (what JSON can hold)
    """Let a new process call a module's function with a task; give what it answered.

    Task and answer are what JSON can hold; `environment` is added to this process's. Raises
    OutOfMemoryError where the process ran out of it or was killed, LostProcessError where it ended
    by another fault.
    """
    module, name = function.__module__, function.__name__
    program = f"from charlm.benchmark.child import answer; from {module} import {name}; "
    done = subprocess.run(
        [sys.executable, "-c", f"{program}answer({name})"],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        env=child_environment() | dict(environment or {}),
    )
    if done.returncode != 0:
        raise fault_of(done.returncode, done.stderr)
    return json.loads(done.stdout)


def fault_of(code: int, said: str) -> CharlmError:
    """Give the error that tells of a child that ended with a code, after some last words."""
    last = (said.strip().splitlines() or ["it said nothing"])[-1]
    told = f"a process that measures ended with {code}: {last[:200]}"
    if code in (OutOfMemoryError.exit_code, KILLED) or "bad_alloc" in said or "MemoryError" in said:
        return OutOfMemoryError(told, HINT)
    return LostProcessError(told)


def answer(function: Callable[[Task], Any]) -> None:
    """Do the task that standard input describes, and write the answer: the child's side."""
    task = json.loads(sys.stdin.read())
    try:
        with memory_errors("measuring"):
            found = function(task)
    except OutOfMemoryError as error:
        sys.stderr.write(f"{error.message}\n")
        sys.exit(error.exit_code)
    sys.stdout.write(json.dumps(found))


def child_environment() -> dict[str, str]:
    """Give this process's environment, in which a child finds the same charlm."""
    return dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
