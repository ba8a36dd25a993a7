"""The network as a predictor: step and score agree, streams never mix, states are values."""

import numpy as np
import pytest
import torch

from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig
from charlm.predict import neural
from charlm.predict.neural import NeuralPredictor
from tests.predict.laws import check_laws

V, BOUNDARY = 13, 12


KINDS = {
    "lstm": {},
    "gru": {"cell": "gru"},
    "rnn": {"cell": "rnn"},
    "adaptive": {"cutoffs": (3, 8)},
    "mogrifier": {"mogrifier": 5},
    "mixture": {"mixtures": 3},
}


@pytest.fixture(params=KINDS)
def predictor(request):
    torch.manual_seed(1)
    config = NetworkConfig(V, 4, 6, num_layers=2, input_dropout=0.5, **KINDS[request.param])
    return NeuralPredictor(LanguageNetwork(config), BOUNDARY)


def ids_of(*shape, seed=0):
    return np.random.default_rng(seed).integers(V, size=shape)


def test_all_laws_hold(predictor, monkeypatch):
    monkeypatch.setattr(neural, "WINDOW", 5)
    check_laws(predictor, ids_of(3, 17))


def test_probabilities_sum_to_one(predictor):
    prediction = predictor.prediction(predictor.start(4))
    np.testing.assert_allclose(np.exp(prediction.log_probs()).sum(axis=1), 1, atol=1e-5)


def test_step_by_step_is_the_same_as_score(predictor, monkeypatch):
    monkeypatch.setattr(neural, "WINDOW", 5)
    ids, state = ids_of(3, 17), predictor.start(3)
    nats, after = predictor.score(ids, state)
    assert nats.shape == (3, 17) and nats.dtype == np.float32
    prediction = predictor.prediction(state)
    for t in range(17):
        np.testing.assert_allclose(-prediction.of(ids[:, t]), nats[:, t], atol=1e-4)
        prediction, state = predictor.step(ids[:, t], state)
    expected = predictor.prediction(after).log_probs()
    np.testing.assert_allclose(prediction.log_probs(), expected, atol=1e-4)


def test_scoring_in_parts_is_the_same_as_at_once(predictor):
    ids, state = ids_of(2, 12), predictor.start(2)
    whole, _ = predictor.score(ids, state)
    first, state = predictor.score(ids[:, :5], state)
    nothing, state = predictor.score(ids[:, 5:5], state)
    second, _ = predictor.score(ids[:, 5:], state)
    assert nothing.shape == (2, 0)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, atol=1e-5)


def test_no_score_depends_on_what_comes_later(predictor):
    ids, state = ids_of(1, 10), predictor.start(1)
    changed = ids.copy()
    changed[0, 6:] = (changed[0, 6:] + 1) % V
    before, _ = predictor.score(ids, state)
    after, _ = predictor.score(changed, state)
    np.testing.assert_array_equal(before[:, :6], after[:, :6])


def test_streams_are_what_they_would_be_alone(predictor):
    ids = ids_of(4, 9)
    together, _ = predictor.score(ids, predictor.start(4))
    for row in range(4):
        alone, _ = predictor.score(ids[row : row + 1], predictor.start(1))
        np.testing.assert_allclose(together[row], alone[0], atol=1e-5)


def test_states_are_values_that_can_be_selected_and_stacked(predictor):
    _, state = predictor.score(ids_of(3, 5), predictor.start(3))
    before = predictor.prediction(state).log_probs()
    predictor.step(np.array([1, 2, 3]), state)
    np.testing.assert_array_equal(predictor.prediction(state).log_probs(), before)
    parts = [predictor.select(state, [2]), predictor.select(state, [0, 0])]
    again = predictor.prediction(predictor.stack(parts)).log_probs()
    np.testing.assert_allclose(again, before[[2, 0, 0]], atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_gives_the_same_probabilities(predictor):
    ids = ids_of(2, 20)
    expected, _ = predictor.score(ids, predictor.start(2))
    other = NeuralPredictor(predictor.network.to("cuda"), BOUNDARY)
    got, _ = other.score(ids, other.start(2))
    np.testing.assert_allclose(got, expected, atol=1e-3)
