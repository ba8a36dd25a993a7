"""Intervals by resampling blocks: they hold the truth as often as they say, and reproduce."""

import numpy as np
import pytest

from charlm.evaluation.interval import BLOCK, FEWEST, MOST, BlockSums, ratio_interval


def blocks_of(random, count, mean=1.5):
    """Make blocks of a text: bytes, and nats that hang together within a block."""
    sizes = random.integers(200, 400, size=count).astype(float)
    hardness = mean + random.normal(scale=0.3, size=count)
    return sizes * hardness, sizes


def test_it_holds_the_truth_about_95_times_in_a_hundred():
    random, held = np.random.default_rng(3), 0
    for _ in range(60):
        nats, sizes = blocks_of(random, 150)
        low, high = ratio_interval(nats[:, None], sizes)[:, 0]
        held += low < 1.5 < high
    assert 51 <= held <= 60


def test_four_times_the_text_makes_it_half_as_wide():
    random, widths = np.random.default_rng(4), []
    for count in (200, 800):
        nats, sizes = blocks_of(random, count)
        low, high = ratio_interval(nats[:, None], sizes)[:, 0]
        widths.append(high - low)
    assert widths[1] / widths[0] == pytest.approx(0.5, abs=0.12)


def test_it_reproduces_and_lies_about_the_ratio():
    nats, sizes = blocks_of(np.random.default_rng(5), 100)
    both = np.column_stack([nats, 2 * nats])
    found = ratio_interval(both, sizes)
    np.testing.assert_array_equal(found, ratio_interval(both, sizes))
    np.testing.assert_allclose(found[:, 1], 2 * found[:, 0])
    assert found[0, 0] < nats.sum() / sizes.sum() < found[1, 0]


def test_of_few_blocks_nothing_is_said():
    assert ratio_interval(np.ones((FEWEST - 1, 1)), np.ones(FEWEST - 1)) is None
    assert ratio_interval(np.ones((FEWEST, 1)), np.ones(FEWEST)).tolist() == [[1], [1]]


def test_blocks_are_sums_over_so_many_places_however_they_come():
    random = np.random.default_rng(6)
    values = random.normal(size=(5 * BLOCK + 7, 2))
    whole, pieces = BlockSums(2), BlockSums(2)
    whole.add(values, np.arange(len(values)))
    for start in range(0, len(values), 100):
        part = values[start : start + 100]
        pieces.add(part, start + np.arange(len(part)))
    pieces.add(values[:0], np.zeros(0, dtype=int))
    assert whole.rows.shape == (6, 2)
    np.testing.assert_allclose(whole.rows[2], values[2 * BLOCK : 3 * BLOCK].sum(axis=0))
    np.testing.assert_allclose(pieces.rows, whole.rows, atol=1e-9)


def test_a_long_text_takes_no_more_memory():
    sums = BlockSums(1, size=1)
    sums.add(np.ones((3 * MOST + 5, 1)), np.arange(3 * MOST + 5))
    assert sums.rows.shape == (MOST, 1)
    assert sums.rows[:6, 0].tolist() == [4, 4, 4, 4, 4, 3]
