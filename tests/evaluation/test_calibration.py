"""Calibration: the numbers by hand, and that what is true to its word shows no error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.evaluation import calibration as module
from charlm.evaluation.calibration import CalibrationCounter, calibration
from charlm.evaluation.tokens import TokenScore


def test_the_numbers_by_hand():
    confidence = np.array([0.1, 0.2, 0.2, 0.7, 0.8, 1.0, 0.0, 0.5])
    right = np.array([False, True, False, True, True, False, False, True])
    found = calibration(confidence, right, bins=4)
    assert found.tokens.tolist() == [4, 1, 1, 2]  # 0.5 belongs to (0.25, 0.5]
    assert found.mean_confidence.tolist() == pytest.approx([0.125, 0.5, 0.7, 0.9])
    assert found.accuracy.tolist() == pytest.approx([0.25, 1.0, 1.0, 0.5])
    error = (4 * 0.125 + 0.5 + 0.3 + 2 * 0.4) / 8
    assert found.expected_error == pytest.approx(error)
    assert found.total == 8


def test_bins_without_tokens_have_no_accuracy_and_do_not_count():
    found = calibration(np.array([0.95]), np.array([True]), bins=10)
    assert np.isnan(found.accuracy[:9]).all() and found.accuracy[9] == 1
    assert found.expected_error == pytest.approx(0.05)
    assert calibration(np.zeros(0), np.zeros(0, dtype=bool)).expected_error == 0


def test_a_calibrated_predictor_has_a_small_error_and_a_boaster_a_large_one():
    generator = np.random.default_rng(1)
    confidence = generator.uniform(size=200_000)
    right = generator.uniform(size=200_000) < confidence
    found = calibration(confidence, right)
    assert found.expected_error < 0.005
    low, high = found.interval()
    inside = (low <= found.mean_confidence) & (found.mean_confidence <= high)
    assert inside.sum() >= 12  # of 15, each by 95 %
    boaster = calibration(np.sqrt(confidence), right)
    assert boaster.expected_error == pytest.approx(2 / 3 - 1 / 2, abs=0.01)


def test_an_interval_is_wide_where_tokens_are_few():
    few = calibration(np.full(3, 0.9), np.array([True] * 3), bins=1)
    many = calibration(np.full(3000, 0.9), np.array([True] * 3000), bins=1)
    for found, widest, least in ((few, 0.6, 0.5), (many, 0.002, 0.001)):
        (low,), (high,) = found.interval()
        assert least < high - low < widest and high <= 1 + 1e-12


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 3)) | st.none(), max_size=40),
    st.integers(1, 9),
)
def test_counted_as_they_pass_is_counted_at_once(given_, chunk):
    scores = [each and TokenScore(b"", 1.5, 0.5, each[1], each[0]) for each in given_]
    tokens = [score for score in scores if score is not None]
    before, module.CHUNK = module.CHUNK, chunk
    try:
        counter = CalibrationCounter()
        assert list(counter.watch(scores)) == scores
    finally:
        module.CHUNK = before
    once = calibration(
        np.array([score.confidence for score in tokens]),
        np.array([score.rank == 1 for score in tokens], dtype=bool),
    )
    found = counter.result
    assert found.tokens.tolist() == once.tokens.tolist()
    assert found.right.tolist() == once.right.tolist()
    assert found.confidence.tolist() == pytest.approx(once.confidence.tolist())
    assert (found.nats, found.entropy) == (1.5 * len(tokens), 0.5 * len(tokens))
