"""Sampling rules: what they keep, in what order, and what they never touch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import UsageError
from charlm.generation.options import SamplingOptions
from charlm.generation.sampling import apply_rules, keep_min_p, keep_top_k, keep_top_p


def logs(seed=0, size=30):
    logits = np.random.default_rng(seed).normal(size=(2, size)).astype(np.float32) * 2
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def kept(values):
    return np.isfinite(values).sum(axis=1).tolist()


@given(st.integers(0, 100), st.integers(1, 40))
def test_top_k_keeps_the_k_best_as_they_are(seed, k):
    before = logs(seed)
    after = keep_top_k(before, k)
    assert kept(after) == [min(k, 30)] * 2
    best = np.sort(before, axis=1)[:, ::-1][:, : min(k, 30)]
    np.testing.assert_array_equal(np.sort(after, axis=1)[:, ::-1][:, : min(k, 30)], best)


@given(st.integers(0, 100), st.floats(0.01, 1.0))
def test_top_p_keeps_the_fewest_that_reach_p(seed, p):
    before = logs(seed)
    after = keep_top_p(before, p)
    for old, new in zip(before, after, strict=True):
        probabilities = np.sort(np.exp(old[np.isfinite(new)].astype(np.float64)))
        assert probabilities.sum() >= p - 1e-5
        assert probabilities[1:].sum() < p + 1e-5


@given(st.integers(0, 100), st.floats(0.01, 1.0))
def test_min_p_keeps_those_near_the_best(seed, p):
    before = logs(seed)
    expected = np.exp(before) >= p * np.exp(before).max(axis=1, keepdims=True) * (1 - 1e-6)
    assert (np.isfinite(keep_min_p(before, p)) <= expected).all()
    assert all(count >= 1 for count in kept(keep_min_p(before, p)))


def test_temperature_zero_leaves_only_the_best():
    after = apply_rules(logs(), SamplingOptions(temperature=0))
    assert kept(after) == [1, 1]
    assert (after.argmax(axis=1) == logs().argmax(axis=1)).all()


def test_temperature_divides():
    np.testing.assert_allclose(apply_rules(logs(), SamplingOptions(temperature=2)), logs() / 2)


def test_a_penalty_makes_recent_ids_less_probable_and_no_others():
    history = np.array([[3, -1, 3], [5, 6, -1]])
    after = apply_rules(logs(), SamplingOptions(repetition_penalty=1.5), history)
    changed = after != logs()
    assert [np.flatnonzero(row).tolist() for row in changed] == [[3], [5, 6]]
    np.testing.assert_allclose(after[0, 3], logs()[0, 3] * 1.5, rtol=1e-6)


def test_the_defaults_change_nothing():
    np.testing.assert_array_equal(apply_rules(logs(), SamplingOptions()), logs())


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"min_p": -0.1},
        {"repetition_penalty": 0.0},
    ],
)
def test_senseless_numbers_are_refused(values):
    with pytest.raises(UsageError, match="--" + next(iter(values)).replace("_", "-")):
        SamplingOptions(**values)
