"""Timing in turns: A B A B, so that whatever else the machine does meets all alike."""

import statistics
import time
from collections.abc import Callable, Mapping

Seconds = dict[str, list[float]]  # of each contestant, in the order of the rounds


def alternate(contestants: Mapping[str, Callable[[], object]], rounds: int) -> Seconds:
    """Time each contestant once a round, in turn; a first round warms up and does not count."""
    seconds: Seconds = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            began = time.perf_counter()
            run()
            if number > 0:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def median_ratio(over: list[float], under: list[float]) -> float:
    """Divide round by round, and give the median: how many times as long `over` took."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))
