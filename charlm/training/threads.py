"""How many processor threads to train with, by measurement.

More threads are not always faster: where another program, or another guest of the same host, holds
one of the cores, every product waits for the thread that got none, and the step takes a hundred
times as long as with one thread fewer.
"""

import statistics
import time
from collections.abc import Callable

import torch

from charlm.training.precision import autocast

CLEARLY = 0.9  # fewer threads must take at most this share of the time
TRIALS = 3
SHAPE = (8, 24, 128)  # streams, steps, units of the layer that is timed


def fastest_thread_count(bf16: bool, timed: Callable[[int, bool], float] | None = None) -> int:
    """Time a small recurrent layer with all threads, half of them and one; give the best number.

    Takes a fraction of a second. The number of threads is left as it was.
    """
    timed = timed or seconds_with
    before = torch.get_num_threads()
    best, fewest_seconds = before, timed(before, bf16)
    for threads in sorted({before // 2, 1} - {0, before}, reverse=True):
        seconds = timed(threads, bf16)
        if seconds < CLEARLY * fewest_seconds:
            best, fewest_seconds = threads, seconds
    torch.set_num_threads(before)
    return best


def seconds_with(threads: int, bf16: bool) -> float:
    """Time one forward and backward pass with so many threads: the median of a few."""
    torch.set_num_threads(threads)
    streams, steps, units = SHAPE
    layer = torch.nn.LSTM(units, units, batch_first=True)
    inputs = torch.zeros(streams, steps, units)
    taken = []
    for _ in range(TRIALS + 1):
        began = time.perf_counter()
        with autocast(torch.device("cpu"), bf16):
            outputs, _ = layer(inputs)
        outputs.float().sum().backward()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])
