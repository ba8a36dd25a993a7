"""The number of threads: the fastest, and all of them unless fewer are clearly faster."""

from collections import Counter

import pytest
import torch

from charlm.training.threads import fastest_thread_count, seconds_with


@pytest.fixture
def eight_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "seconds, expected",
    [
        ({8: 1.0, 4: 1.5, 1: 3.0}, 8),
        ({8: 1.0, 4: 0.95, 1: 3.0}, 8),
        ({8: 1.0, 4: 0.5, 1: 0.8}, 4),
        ({8: 90.0, 4: 60.0, 1: 1.0}, 1),
    ],
)
def test_the_fastest_is_chosen(eight_threads, seconds, expected):
    assert fastest_thread_count(False, lambda threads, bf16: seconds[threads]) == expected
    assert torch.get_num_threads() == 8


def test_what_disturbs_for_a_moment_does_not_decide(eight_threads):
    calls = Counter()

    def timed(threads, bf16):
        calls[threads] += 1
        return 50.0 if threads == 8 and calls[8] <= 3 else {8: 1.0, 4: 1.5, 1: 3.0}[threads]

    assert fastest_thread_count(False, timed) == 8


def test_a_real_measurement_is_a_time():
    before = torch.get_num_threads()
    assert 0 < seconds_with(1, False) < 60
    torch.set_num_threads(before)
