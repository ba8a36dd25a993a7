"""Mixtures: proper distributions, and weights that make a text most probable."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.predict.kneser_ney import estimate
from charlm.predict.mixture import MixturePredictor, fit_weights
from charlm.predict.ngram import NgramPredictor
from tests.predict.laws import check_laws
from tests.predictors import Bigram

V = 8


def bigram(seed):
    logits = np.random.default_rng(seed).normal(size=(V, V)) * 2
    return Bigram(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), 0)


def counts(seed, length=200, order=3):
    ids = np.random.default_rng(seed).integers(1, V, size=length + 2)
    ids[0] = ids[-1] = 0
    return NgramPredictor(estimate(ids, np.array([0, length + 1]), V, order).tables, 0)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0, 1))
def test_a_mixture_is_a_predictor(seed, weight):
    ids = np.random.default_rng(seed).integers(0, V, size=(3, 12))
    parts = [bigram(seed), bigram(seed + 1)]
    check_laws(MixturePredictor(parts, np.array([[weight, 1 - weight]])), ids)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_a_mixture_with_buckets_is_a_predictor(seed):
    random = np.random.default_rng(seed)
    judge = counts(seed)
    weights = random.dirichlet([1, 1], size=judge.order)
    mixture = MixturePredictor([bigram(seed), judge], weights, judge)
    check_laws(mixture, random.integers(0, V, size=(3, 12)))


def test_mixtures_can_be_mixed():
    inner = MixturePredictor([bigram(1), bigram(2)], np.array([[0.3, 0.7]]))
    outer = MixturePredictor([inner, counts(3)], np.array([[0.5, 0.5]]))
    check_laws(outer, np.random.default_rng(0).integers(0, V, size=(2, 10)))


@pytest.mark.parametrize("extreme", [0, 1, 2])
def test_what_is_next_to_impossible_after_some_ids_alone_is_mixed_by_logarithms(extreme):
    logits = np.zeros((V, V))
    logits[extreme, 1:] = -100.0  # e^-100 is nothing in float32
    parts = [Bigram(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), 0)] * 2
    ids = np.array([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [5, 4, 3, 2, 1]])
    check_laws(MixturePredictor(parts, np.array([[0.3, 0.7]])), ids)
    judge = counts(0)
    weights = np.random.default_rng(0).dirichlet([1, 1, 1], size=judge.order)
    check_laws(MixturePredictor([*parts, judge], weights, judge), ids)


def test_the_probabilities_are_the_weighted_ones():
    first, second = bigram(1), bigram(2)
    mixture = MixturePredictor([first, second], np.array([[0.25, 0.75]]))
    own = [np.exp(each.prediction(each.start(1)).log_probs()) for each in (first, second)]
    expected = 0.25 * own[0] + 0.75 * own[1]
    got = np.exp(mixture.prediction(mixture.start(1)).log_probs())
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_weights_are_found_where_the_text_is_most_probable():
    random = np.random.default_rng(0)
    log_probs = np.log(random.uniform(0.01, 1, size=(4000, 2)))
    buckets = random.integers(0, 2, size=4000)
    log_probs[buckets == 1, 0] -= 1.5  # there the second is better
    weights = fit_weights(log_probs, buckets, 2)
    for bucket in range(2):
        own = np.exp(log_probs[buckets == bucket])
        grid = np.linspace(0.001, 0.999, 999)
        costs = [-np.log(own @ [share, 1 - share]).mean() for share in grid]
        assert weights[bucket, 0] == pytest.approx(grid[int(np.argmin(costs))], abs=0.01)
    assert weights.sum(axis=1) == pytest.approx([1, 1])


def test_a_bucket_with_few_ids_has_the_weights_of_all():
    log_probs = np.log(np.random.default_rng(0).uniform(0.01, 1, size=(500, 3)))
    buckets = np.zeros(500, dtype=int)
    buckets[:3] = 2
    weights = fit_weights(log_probs, buckets, 4)
    everything = fit_weights(log_probs, np.zeros(500, dtype=int), 1)
    for bucket in (1, 2, 3):
        np.testing.assert_allclose(weights[bucket], everything[0])


def test_probabilities_are_drawn_from_as_their_logarithms_are():
    def unchanged(logs):
        return logs

    mixture, random = MixturePredictor([counts(1), bigram(2)], np.array([[0.4, 0.6]])), 0
    random = np.random.default_rng(3)
    state = mixture.score(random.integers(0, V, size=(40, 5)), mixture.start(40))[1]
    noise = random.random(40)
    plain = mixture.prediction(state).draw(unchanged, noise)
    unchanged.only = (1.0, 0)
    prediction = mixture.prediction(state)
    drawn = prediction.draw(unchanged, noise)
    np.testing.assert_array_equal(drawn, plain)
    np.testing.assert_allclose(prediction.of(drawn), mixture.prediction(state).of(drawn), atol=1e-5)
