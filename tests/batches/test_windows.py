"""Windows grow from the first to the last, and never shrink."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.batches.windows import Windows


@given(st.integers(1, 100), st.integers(0, 500), st.floats(0, 1), st.floats(0, 1))
def test_a_window_grows_with_the_run(first, more, some, other):
    windows = Windows(first, first + more)
    early, late = sorted([some, other])
    assert first <= windows.at(early) <= windows.at(late) <= first + more
    assert windows.at(0.0) == first and windows.at(1.0) == first + more
    assert windows.at(-1.0) == first and windows.at(2.0) == first + more


def test_halfway_it_is_the_geometric_mean():
    assert Windows(8, 128).at(0.5) == 32
    assert Windows(8, 8).mean == 8
    assert 25 < Windows(8, 64).mean < 28  # (64 - 8) / log 8 = 26.9


def test_it_cannot_shrink():
    with pytest.raises(AssertionError):
        Windows(8, 4)


@pytest.mark.parametrize("windows", [Windows(70, 70, random=True), Windows(20, 90, random=True)])
def test_windows_at_random_have_the_mean_that_is_told(windows):
    generator = np.random.default_rng(1)
    drawn = [windows.drawn(k / 20_000, generator) for k in range(20_000)]
    assert np.mean(drawn) == pytest.approx(windows.mean, rel=0.01)
    assert windows.mean == pytest.approx(0.975 * Windows(windows.first, windows.last).mean)


def test_windows_at_random_are_normal_or_one_in_twenty_half_as_long():
    generator = np.random.default_rng(2)
    drawn = np.array([Windows(70, 70, random=True).drawn(0.5, generator) for _ in range(20_000)])
    short = drawn < 55  # three standard deviations from either mean
    assert short.mean() == pytest.approx(0.05, abs=0.006)
    assert drawn[~short].mean() == pytest.approx(70, abs=0.2) and drawn[~short].std() < 5.3
    assert drawn[short].mean() == pytest.approx(35, abs=1.0)


@pytest.mark.parametrize("planned, least", [(1, 1), (3, 3), (6, 5), (70, 5)])
def test_no_window_at_random_is_too_short_to_learn_from(planned, least):
    generator = np.random.default_rng(3)
    windows = Windows(planned, planned, random=True)
    assert min(windows.drawn(0.0, generator) for _ in range(2000)) >= least
