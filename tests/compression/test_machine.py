"""What the arithmetic depends on is named, and threads are held to one while it counts."""

import threading

import numpy as np
import pytest

from charlm.compression import machine
from charlm.compression.machine import UNKNOWN, description, differences, one_thread


def test_a_description_is_three_short_words():
    words = description().split(" ")
    assert len(words) == 3 and all(0 < len(word) <= machine.LONGEST for word in words)
    assert words[0] == np.__version__[: machine.LONGEST]


def test_differences_are_named():
    here, there = "2.4.6 x86_64 Haswell", "2.3.0 x86_64 Zen"
    assert differences(there, here) == [
        "NumPy 2.3.0 there, 2.4.6 here",
        "BLAS kernels for Zen there, Haswell here",
    ]
    assert differences(here, here) == differences("", "") == []


def test_inside_there_is_one_thread_and_afterwards_as_many_as_before():
    count, set_count = machine._openblas("get_num_threads"), machine._openblas("set_num_threads")
    if count is None:
        pytest.skip("this NumPy has no OpenBLAS")
    usual = count()
    try:
        set_count(2)
        before = count()
        with pytest.raises(KeyError), one_thread():
            assert count() == 1
            raise KeyError
        assert count() == before
    finally:
        set_count(usual)


def test_a_product_inside_does_not_depend_on_the_threads_outside():
    count, set_count = machine._openblas("get_num_threads"), machine._openblas("set_num_threads")
    if count is None:
        pytest.skip("this NumPy has no OpenBLAS")
    numbers = np.random.default_rng(0).normal(size=(360, 64)).astype(np.float32)
    usual, found = count(), set()
    for threads in (1, 2, 3, 4):
        set_count(threads)
        with one_thread():
            found.add((numbers[:, :32] @ numbers[:, 32:].T).tobytes())
            found.add((numbers @ np.tile(numbers.T, 3)).tobytes())
    set_count(usual)
    assert len(found) == 2


def test_nobody_gives_the_threads_back_while_another_is_inside():
    entered = threading.Event()

    def enter():
        with one_thread():
            entered.set()

    other = threading.Thread(target=enter)
    with one_thread():
        other.start()
        assert not entered.wait(0.05)
    assert entered.wait(10)
    other.join()


def test_without_openblas_nothing_is_set(monkeypatch):
    monkeypatch.setattr(machine, "_openblas", lambda name: None)
    assert description().endswith(f" {UNKNOWN}")
    with one_thread():
        pass
