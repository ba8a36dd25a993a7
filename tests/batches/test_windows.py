"""Windows grow from the first to the last, and never shrink."""

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
