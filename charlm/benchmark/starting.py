"""How long `charlm` takes from nothing to its first words, each time in a new process."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from charlm.benchmark.child import child_environment
from charlm.errors import LostProcessError

PYTHON = "python alone"
PROMPT = "The "


@dataclass(frozen=True)
class Start:
    """Seconds from the start of a process to the first byte that it writes; least and median."""

    command: str
    kind: str
    least: float
    median: float


def measure_starts(models: Sequence[tuple[str, str]], rounds: int) -> list[Start]:
    """Start everything in turn; models: (kind, directory) of each.

    The first time, which warms the file cache, does not count. Beside the commands stands Python
    itself, which nothing can be quicker than. Raises LostProcessError where a command says nothing.
    """
    commands = {(PYTHON, ""): ["-c", "print(1)"]}
    for word in ("--help", "--version"):
        commands[word, ""] = ["-m", "charlm", word]
    for kind, model in models:
        commands["generate", kind] = ["-m", "charlm", "generate", model, PROMPT]
        commands["suggest", kind] = ["-m", "charlm", "suggest", model, PROMPT, "--json"]
    seconds: dict[tuple[str, str], list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, words in commands.items():
            taken = to_first_byte(words)
            if number > 0:
                seconds[name].append(taken)
    return [Start(*name, min(taken), statistics.median(taken)) for name, taken in seconds.items()]


def to_first_byte(words: Sequence[str]) -> float:
    """Start Python with some words and time it to the first byte of its output, in seconds.

    Modules are compiled once, as pip does when it installs them, also where the environment forbids
    that. What it would do then is not waited for. Raises LostProcessError where it ends without a
    word.
    """
    environment = child_environment()
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    with process:
        assert process.stdout is not None and process.stderr is not None
        first = os.read(process.stdout.fileno(), 1)
        taken = time.perf_counter() - began
        if first:
            process.kill()
            return taken
        said = process.stderr.read().decode(errors="replace").strip().splitlines()
    last = said[-1] if said else "it said nothing"
    raise LostProcessError(f"charlm ended before its first word: {last[:200]}")
