"""How many tokens per second `charlm serve` gives: to many clients at a time, beside one.

The server is a process of its own, as it is installed, and the clients are another. Each client
asks for one completion: in one answer, or in a stream of server-sent events.
"""

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from charlm.benchmark.child import Task, ask_child, child_environment
from charlm.benchmark.clients import complete_all, wait_for
from charlm.benchmark.clock import median_ratio
from charlm.errors import LostProcessError
from charlm.language.handle import load

CLIENTS, QUICK_CLIENTS = 64, 4  # at a time, against one
TOKENS, QUICK_TOKENS = 200, 8  # that each asks for
AGAIN = 4  # times that one client asks: else it is hard to time
PROMPT = "The "
WHOLE, STREAMED = "in one answer", "streamed"
NETWORK = "network"
ADDRESS = re.compile(r" at http://[^ ]*:(\d+)/")

Speeds = dict[str, list[float]]  # tokens/s of each contestant, in the order of the rounds


@dataclass(frozen=True)
class Serving:
    """Tokens per second that a server gives to one client and to many together, medians.

    how: whether clients take the text in one answer, or streamed
    """

    model: str
    kind: str
    predictor: str
    how: str
    clients: int
    one: float
    many: float
    ratio: float


def measure_serving(model: str, rounds: int, quick: bool) -> list[Serving]:
    """Ask servers of a model, one with its best predictor, and one with its network alone.

    Raises LostProcessError where a server does not start.
    """
    found, lm = list[Serving](), load(model)  # whatever is wrong with it is said here
    clients = QUICK_CLIENTS if quick else CLIENTS
    for predictor in dict.fromkeys((lm.name, NETWORK)):
        with served(model, "--predictor", predictor) as port:
            task = {"port": port, "rounds": rounds, "clients": clients, "quick": quick}
            speeds = ask_child(ask_here, task)
        for how in (WHOLE, STREAMED):
            one, many = speeds[name_of(how, 1)], speeds[name_of(how, clients)]
            found.append(
                Serving(
                    model,
                    lm.tokenizer.kind,
                    predictor,
                    how,
                    clients,
                    one=statistics.median(one),
                    many=statistics.median(many),
                    ratio=median_ratio(many, one),
                )
            )
    return found


@contextmanager
def served(model: str, *words: str) -> Iterator[int]:
    """Run `charlm serve` in a process of its own; give its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "charlm", "serve", model, "--port", "0", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=child_environment(),
    )
    try:
        assert process.stderr is not None
        said = ""
        while (found := ADDRESS.search(said)) is None:  # it may compile before it listens
            if not (line := process.stderr.readline()):
                raise LostProcessError(f"charlm serve did not start: {said.strip()[:200]}")
            said += line
        wait_for(port := int(found.group(1)))
        yield port
    finally:
        process.kill()
        process.communicate()


def ask_here(task: Task) -> Speeds:
    """Ask a server in turn, as one client and as many, and give the speeds: the child's part."""
    tokens = QUICK_TOKENS if task["quick"] else TOKENS
    contestants: dict[str, Callable[[], int]] = {}
    for how in (WHOLE, STREAMED):
        bodies = [body_of(how, tokens, seed) for seed in range(task["clients"])]
        contestants[name_of(how, 1)] = partial(one_by_one, task["port"], bodies[:AGAIN])
        contestants[name_of(how, len(bodies))] = partial(complete_all, task["port"], bodies)
    return speeds_of(contestants, task["rounds"])


def name_of(how: str, clients: int) -> str:
    """Name what so many clients ask."""
    return f"{clients} {how}"


def body_of(how: str, tokens: int, seed: int) -> dict[str, Any]:
    """Write a request."""
    body = {"prompt": PROMPT, "max_tokens": tokens, "seed": seed, "temperature": 1}
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    return body | streamed if how == STREAMED else body


def one_by_one(port: int, bodies: Sequence[dict[str, Any]]) -> int:
    """Ask one after the other; count the tokens."""
    return sum(complete_all(port, [body]) for body in bodies)


def speeds_of(contestants: Mapping[str, Callable[[], int]], rounds: int) -> Speeds:
    """Let each contestant ask once a round, in turn; a first round warms up and does not count."""
    speeds: Speeds = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, ask in contestants.items():
            began = time.perf_counter()
            tokens = ask()
            if number > 0:
                speeds[name].append(tokens / (time.perf_counter() - began))
    return speeds
