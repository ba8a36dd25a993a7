"""The NumPy runtime is the network: same probabilities, same greedy text, same states."""

import numpy as np
import pytest
import torch

from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig
from charlm.predict import runtime, runtime_heads
from charlm.predict.neural import NeuralPredictor
from charlm.predict.runtime import RuntimePredictor
from tests.predict.laws import check_laws

V, BOUNDARY = 19, 18
CONFIGS = [
    NetworkConfig(V, 6, 6),
    NetworkConfig(V, 5, 8, num_layers=3),
    NetworkConfig(V, 5, 8, num_layers=2, cell="gru"),
    NetworkConfig(V, 5, 8, cell="rnn", tie_weights=False),
    NetworkConfig(V, 8, 8, num_layers=2, cell="rnn", nonlinearity="relu"),
    NetworkConfig(V, 5, 8, cutoffs=(4, 9)),
    NetworkConfig(V, 5, 8, cell="gru", tie_weights=False, cutoffs=(1,)),
    NetworkConfig(V, 5, 8, num_layers=2, mogrifier=5),
    NetworkConfig(V, 5, 8, num_layers=2, mogrifier=2, mogrifier_rank=3, tie_weights=False),
    NetworkConfig(V, 5, 8, mixtures=3),
    NetworkConfig(V, 8, 8, cell="gru", mixtures=2, tie_weights=False),
    NetworkConfig(V, 5, 8, mogrifier=1, mixtures=4),
    NetworkConfig(V, 5, 8, num_layers=3, last_hidden_size=5),
    NetworkConfig(V, 5, 8, num_layers=2, cell="gru", last_hidden_size=11),
    NetworkConfig(V, 5, 8, num_layers=2, cell="rnn", last_hidden_size=3, tie_weights=False),
    NetworkConfig(V, 5, 8, num_layers=2, last_hidden_size=7, cutoffs=(4, 9)),
    NetworkConfig(V, 5, 8, num_layers=2, last_hidden_size=6, mogrifier=3, mixtures=2),
]


@pytest.fixture(
    params=CONFIGS,
    ids=lambda c: (
        f"{c.num_layers}-{c.cell}-{c.nonlinearity}-{c.cutoffs}-{c.mogrifier}-{c.mixtures}"
        f"-{c.output_size}"
    ),
)
def both(request):
    torch.manual_seed(2)
    network = LanguageNetwork(request.param)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2 if request.param.nonlinearity == "relu" else 0.6)
    weights = {name: p.detach().numpy() for name, p in network.named_parameters()}
    return NeuralPredictor(network, BOUNDARY), RuntimePredictor(request.param, weights, BOUNDARY)


def ids_of(*shape):
    return np.random.default_rng(0).integers(V, size=shape)


@pytest.mark.parametrize("table", [True, False])
def test_scores_and_predictions_are_the_networks(both, table, monkeypatch):
    neural, ours = both
    monkeypatch.setattr(runtime, "CHUNK_NUMBERS", 100)
    monkeypatch.setattr(runtime_heads, "CHUNK_NUMBERS", 100)
    if not table:
        ours._table = None
    ids = ids_of(3, 40)
    expected, theirs = neural.score(ids, neural.start(3))
    got, state = ours.score(ids, ours.start(3))
    np.testing.assert_allclose(got, expected, atol=1e-4)
    np.testing.assert_allclose(
        ours.prediction(state).log_probs(), neural.prediction(theirs).log_probs(), atol=1e-4
    )


def test_every_answer_is_the_networks(both):
    predictions = []
    for predictor in both:
        state = predictor.score(ids_of(3, 7), predictor.start(3))[1]
        predictions.append(predictor.prediction(state))
    theirs, ours = predictions
    noise = np.array([0.1, 0.5, 0.9])
    for ids in ids_of(5, 3):
        np.testing.assert_allclose(ours.of(ids), theirs.of(ids), atol=1e-4)
    for k in (1, 5, V):
        ids, values = ours.top(k)
        np.testing.assert_array_equal(ids, theirs.top(k)[0])
        np.testing.assert_allclose(values, theirs.top(k)[1], atol=1e-4)
    drawn = [one.draw(lambda logs: logs, noise) for one in predictions]
    np.testing.assert_array_equal(*drawn)
    np.testing.assert_allclose(ours.log_probs(), theirs.log_probs(), atol=1e-4)


def test_step_by_step_is_the_same_as_score(both):
    _, ours = both
    ids, state = ids_of(2, 15), ours.start(2)
    nats, _ = ours.score(ids, state)
    prediction = ours.prediction(state)
    for t in range(15):
        np.testing.assert_allclose(-prediction.of(ids[:, t]), nats[:, t], atol=1e-5)
        prediction, state = ours.step(ids[:, t], state)
    np.testing.assert_allclose(np.exp(prediction.log_probs()).sum(axis=1), 1, atol=1e-5)


def test_all_laws_hold(both):
    check_laws(both[1], ids_of(3, 15))


def test_the_greedy_text_is_the_same(both):
    texts = []
    for predictor in both:
        state, text = predictor.start(1), []
        prediction = predictor.prediction(state)
        for _ in range(300):
            best = prediction.top(1)[0][:, 0]
            text.append(int(best[0]))
            prediction, state = predictor.step(best, state)
        texts.append(text)
    assert texts[0] == texts[1]


def test_states_are_values_that_can_be_selected_and_stacked(both):
    _, ours = both
    _, state = ours.score(ids_of(3, 5), ours.start(3))
    before = ours.prediction(state).log_probs()
    ours.step(np.array([1, 2, 3]), state)
    parts = [ours.select(state, [2]), ours.select(state, [0, 0])]
    again = ours.prediction(ours.stack(parts)).log_probs()
    np.testing.assert_allclose(again, before[[2, 0, 0]], atol=1e-6)
    assert ours.score(np.zeros((3, 0), dtype=np.int64), state)[0].shape == (3, 0)
