"""The NumPy runtime is the network: same probabilities, same greedy text, same states."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from charlm.model.network import LanguageNetwork
from charlm.model.rows import quantised_weights
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


def greedy(predictor, length):
    state, text = predictor.start(1), []
    prediction = predictor.prediction(state)
    for _ in range(length):
        best = prediction.top(1)[0][:, 0]
        text.append(int(best[0]))
        prediction, state = predictor.step(best, state)
    return text


def best_after_each(predictor, ids):
    """Read ids one by one; give the most probable one after each."""
    state, bests = predictor.start(1), []
    for each in ids:
        prediction, state = predictor.step(np.array([each]), state)
        bests.append(int(prediction.top(1)[0][0, 0]))
    return bests


def test_the_greedy_text_is_the_same(both):
    texts = [greedy(predictor, 300) for predictor in both]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("streams", [1, 3, 64])
def test_what_is_read_from_a_state_leaves_it_as_it_was(both, streams):
    _, ours = both
    state = ours.start(streams)
    before = state.numbers.copy()
    _, first = ours.step(ids_of(streams), state)
    kept = first.numbers.copy()
    ours.step(ids_of(streams) // 2, state)
    ours.step(ids_of(streams), first)
    np.testing.assert_array_equal(state.numbers, before)
    np.testing.assert_array_equal(first.numbers, kept)


def test_threads_that_read_at_once_do_not_meet(both):
    _, ours = both
    rows = [ids_of(2, 60), ids_of(2, 60)[::-1]]
    expected = [ours.score(row, ours.start(2))[0] for row in rows]
    with ThreadPoolExecutor(4) as pool:
        got = pool.map(lambda row: ours.score(row, ours.start(2))[0], rows * 4)
    for one, other in zip(got, expected * 4, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_thousand_tokens_are_the_same_in_pytorch_numpy_and_compiled(cell):
    pytest.importorskip("numba")
    torch.manual_seed(5)
    config = NetworkConfig(120, 24, 48, num_layers=2, cell=cell)
    network = LanguageNetwork(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.15 if cell == "rnn" else 0.3)  # else it is chaotic
    torch.nn.init.zeros_(network.head.bias)
    weights = {name: p.detach().numpy() for name, p in network.named_parameters()}
    ways = [NeuralPredictor(network, 0)]
    ways += [RuntimePredictor(config, weights, 0, compiled=each) for each in (False, True)]
    texts = [greedy(predictor, 1000) for predictor in ways]
    assert texts[1] == texts[0] and texts[2] == texts[0]
    ids = np.random.default_rng(0).integers(120, size=1000)
    bests = [best_after_each(predictor, ids) for predictor in ways]
    assert len(set(bests[0])) > 5
    assert bests[1] == bests[0] and bests[2] == bests[0]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_int8_gives_the_same_thousand_tokens_in_numpy_and_compiled(cell):
    pytest.importorskip("numba")
    config = NetworkConfig(120, 24, 48, num_layers=2, cell=cell, tie_weights=False)
    generator = np.random.default_rng(4)
    shapes = config.parameter_shapes()
    plain = {n: generator.normal(0, 0.3, s).astype(np.float32) for n, s in shapes.items()}
    plain["head.bias"][:] = 0
    ways = [
        RuntimePredictor(config, quantised_weights(plain), 0, compiled=each)
        for each in (False, True)
    ]
    texts = [greedy(predictor, 1000) for predictor in ways]
    assert texts[1] == texts[0]
    ids = generator.permutation(120)
    bests = [best_after_each(predictor, ids) for predictor in ways]
    assert len(set(bests[0])) > 5
    assert bests[1] == bests[0]


def test_states_are_values_that_can_be_selected_and_stacked(both):
    _, ours = both
    _, state = ours.score(ids_of(3, 5), ours.start(3))
    before = ours.prediction(state).log_probs()
    ours.step(np.array([1, 2, 3]), state)
    parts = [ours.select(state, [2]), ours.select(state, [0, 0])]
    again = ours.prediction(ours.stack(parts)).log_probs()
    np.testing.assert_allclose(again, before[[2, 0, 0]], atol=1e-6)
    assert ours.score(np.zeros((3, 0), dtype=np.int64), state)[0].shape == (3, 0)
