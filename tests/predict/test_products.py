"""Products of a few vectors: cut into parts or not, they are those of the whole matrix."""

import numpy as np
import pytest

from charlm.predict import products
from charlm.predict.products import likeness, times


@pytest.mark.parametrize("vectors", range(1, 13))
@pytest.mark.parametrize(("length", "width"), [(288, 1152), (7, 5), (200, 1003), (64, 1), (3, 0)])
def test_parts_make_the_whole_product(vectors, length, width, monkeypatch):
    monkeypatch.setattr(products, "SMALL", 20_000)  # so that there are many parts, and a rest
    generator = np.random.default_rng(vectors)
    wide = generator.normal(size=(vectors, 2 * length)).astype(np.float32)
    several, matrix = wide[:, ::2], generator.normal(size=(length, width)).astype(np.float32)
    expected = several.astype(np.float64) @ matrix
    np.testing.assert_allclose(times(several, matrix), expected, atol=1e-3)
    room = np.full((vectors, width + 2), 7, dtype=np.float32)
    times(several, matrix, out=room[:, 1:-1])
    np.testing.assert_allclose(room[:, 1:-1], expected, atol=1e-3)
    assert (room[:, [0, -1]] == 7).all(), "nothing else was written"


@pytest.mark.parametrize("queries", [1, 2, 4, 5, 9])
@pytest.mark.parametrize("keys", [0, 1, 2000])
def test_likeness_is_that_of_each_key_with_each_query(queries, keys):
    generator = np.random.default_rng(keys)
    held = generator.normal(size=(keys, 64)).astype(np.float32)
    asked = generator.normal(size=(queries, 64)).astype(np.float32)
    found = likeness(held, asked)
    assert found.shape == (queries, keys) and found.flags.c_contiguous
    np.testing.assert_allclose(found, asked.astype(np.float64) @ held.T, atol=1e-4)
