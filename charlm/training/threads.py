"""How many processor threads to train with, by measurement.

More threads are not always faster: where another program, or another guest of the same host, holds
one of the cores, every product waits for the thread that got none, and the step takes a hundred
times as long as with one thread fewer.
"""

import time
from collections.abc import Callable

import torch

from charlm.errors import UsageError
from charlm.training.precision import autocast

CLEARLY = 0.9  # fewer threads must take at most this share of the time
ROUNDS = 6  # in which each number is timed, in turn
SHAPE = (16, 24, 192)  # streams, steps, units of the layer that is timed


def fastest_thread_count(bf16: bool, timed: Callable[[int, bool], float] | None = None) -> int:
    """Time a small recurrent layer with all threads, half of them and one; give the best number.

    Takes a fraction of a second. They are timed in turn, and the second best of a number's times
    counts: what disturbs for a moment shall not decide a run, what holds a core does. The number of
    threads is left as it was.
    """
    timed = timed or seconds_with
    before = torch.get_num_threads()
    numbers = sorted({before, before // 2, 1} - {0}, reverse=True)
    taken: dict[int, list[float]] = {threads: [] for threads in numbers}
    for _ in range(ROUNDS):
        for threads in numbers:
            taken[threads].append(timed(threads, bf16))
    torch.set_num_threads(before)
    best = before
    for threads in numbers:
        if _second(taken[threads]) < CLEARLY * _second(taken[best]):
            best = threads
    return best


def seconds_with(threads: int, bf16: bool) -> float:
    """Time one forward and backward pass with so many threads, after one to warm up."""
    torch.set_num_threads(threads)
    streams, steps, units = SHAPE
    layer = torch.nn.LSTM(units, units, batch_first=True)
    inputs = torch.zeros(streams, steps, units)
    for _ in range(2):
        began = time.perf_counter()
        with autocast(torch.device("cpu"), bf16):
            outputs, _ = layer(inputs)
        outputs.float().sum().backward()
        seconds = time.perf_counter() - began
    return seconds


def set_threads(threads: int) -> None:
    """Use this many processor threads; raise UsageError for none."""
    if threads < 1:
        raise UsageError(f"--threads must be 1 or more, not {threads}")
    torch.set_num_threads(threads)


def _second(seconds: list[float]) -> float:
    return sorted(seconds)[1]
