"""Predictions: every way to ask gives the same answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.predict.predictor import DensePrediction


def prediction(streams=3, size=40, seed=0):
    logits = np.random.default_rng(seed).normal(size=(streams, size)) * 3
    return DensePrediction(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


@given(st.integers(0, 1000), st.integers(1, 50))
def test_of_and_top_agree_with_all_probabilities(seed, k):
    one = prediction(seed=seed)
    ids, values = one.top(k)
    assert ids.shape == (3, min(k, 40))
    for row in range(3):
        expected = np.sort(one.log_probs()[row])[::-1][:k]
        np.testing.assert_allclose(values[row], expected)
        np.testing.assert_allclose(one.of(ids[:, 0])[row], expected[0])


def test_draws_have_the_distribution():
    one = prediction(streams=1, size=6)
    noise = (np.arange(20_000) + 0.5) / 20_000
    drawn = np.array([one.draw(lambda logs: logs, np.array([u]))[0] for u in noise[::20]])
    shares = np.bincount(drawn, minlength=6) / len(drawn)
    np.testing.assert_allclose(shares, np.exp(one.log_probs()[0]), atol=0.002)


@pytest.mark.parametrize("noise", [0.0, 1 - 1e-16, 0.5])
def test_what_a_rule_forbids_is_never_drawn(noise):
    def only_7(logs):
        return np.where(np.arange(40) == 7, logs, -np.inf)

    assert prediction().draw(only_7, np.full(3, noise)).tolist() == [7, 7, 7]
