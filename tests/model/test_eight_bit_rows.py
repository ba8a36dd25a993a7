"""Rows of eight bits: as near as can be, at every size and for every kind of row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from charlm.model.rows import (
    Int8Rows,
    as_arrays,
    from_arrays,
    plain_weights,
    quantised,
    quantised_weights,
)

numbers = st.floats(-(2.0**100), 2.0**100, width=32)
matrices = arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=2), elements=numbers)


@given(matrices)
def test_no_weight_is_farther_off_than_half_its_rows_scale(matrix):
    rows = quantised(matrix)
    assert rows.numbers.dtype == np.int8 and rows.scales.dtype == np.float32
    assert rows.shape == matrix.shape and np.abs(rows.numbers.astype(int)).max() <= 127
    exact = rows.numbers.astype(np.float64) * rows.scales[:, None]
    usual = rows.scales > 1e-30  # below, a scale has few bits itself
    errors = np.abs(exact - matrix)[usual]
    assert (errors <= 0.5001 * rows.scales[usual, None]).all()
    assert np.isfinite(rows.dequantised()).all()


def test_a_row_of_zeros_stays_so():
    rows = quantised(np.array([[0, 0], [1, -127]], dtype=np.float32))
    assert rows.dequantised().tolist() == [[0, 0], [1, -127]]


@given(matrices)
def test_quantising_again_changes_nothing(matrix):
    once = quantised(matrix)
    if (once.scales > 1e-30).all():
        np.testing.assert_array_equal(quantised(once.dequantised()).numbers, once.numbers)


def test_a_file_gives_back_what_was_put_in():
    weights = {"a": np.ones((2, 3), np.float32), "b": np.ones(3, np.float32)}
    stored = quantised_weights(weights)
    back = from_arrays(as_arrays(stored))
    assert back.keys() == weights.keys() and isinstance(back["a"], Int8Rows)
    for name, weight in plain_weights(back).items():
        np.testing.assert_allclose(weight, weights[name], rtol=1e-6)
