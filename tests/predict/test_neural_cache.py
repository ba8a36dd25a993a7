"""The neural cache: a proper predictor whose shares come from what was read, by the equations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig
from charlm.predict import cache as module
from charlm.predict.cache import CachedPredictor
from charlm.predict.mixture import MixturePredictor, SideBySide
from charlm.predict.neural import NeuralPredictor
from charlm.predict.runtime import RuntimePredictor
from tests.predict.laws import check_laws
from tests.predictors import Bigram

V, BOUNDARY = 13, 12


def networks(cutoffs=(), **options):
    torch.manual_seed(3)
    config = NetworkConfig(V, 4, 6, cutoffs=cutoffs, **options)
    network = LanguageNetwork(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    weights = {name: p.detach().numpy() for name, p in network.named_parameters()}
    return NeuralPredictor(network, BOUNDARY), RuntimePredictor(config, weights, BOUNDARY)


def ids_of(*shape, seed=0):
    return np.random.default_rng(seed).integers(V, size=shape)


@pytest.mark.parametrize("network", [0, 1], ids=["torch", "numpy"])
@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_it_is_a_predictor(network, size, share, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 7)
    monkeypatch.setattr(module, "BLOCK", 3)
    if share == 1.0:  # then only what is held has any probability
        share = 0.999
    cached = CachedPredictor(networks((3, 8))[network], share, 2.0, size)
    check_laws(cached, ids_of(3, 25))


@pytest.mark.parametrize("network", [0, 1], ids=["torch", "numpy"])
def test_it_is_a_predictor_over_mixed_softmaxes_and_a_mogrifier(network):
    cached = CachedPredictor(networks(mogrifier=3, mixtures=2)[network], 0.3, 2.0, 4)
    check_laws(cached, ids_of(3, 25))


@pytest.mark.parametrize("network", [0, 1], ids=["torch", "numpy"])
@pytest.mark.parametrize("size", [4, 9])
def test_it_is_a_predictor_over_a_last_layer_of_its_own_size(network, size):
    cached = CachedPredictor(networks(num_layers=2, last_hidden_size=size)[network], 0.3, 2.0, 4)
    check_laws(cached, ids_of(3, 25))


@settings(max_examples=15)
@given(st.integers(0, 1000), st.floats(0, 1), st.floats(0, 5), st.integers(1, 12))
def test_the_shares_are_those_of_the_equations(seed, share, flatness, size):
    network = networks()[1]
    cached = CachedPredictor(network, share, flatness, size)
    ids = ids_of(1, 14, seed=seed)
    nats, _ = cached.score(ids, cached.start(1))
    state, keys, after = network.start(1), [], []
    for place, read in enumerate(ids[0]):
        plain = np.exp(float(network.prediction(state).of(np.array([read]))[0]))
        expected, query = plain, network.outputs(state)[0].astype(float)
        if keys:
            near = slice(max(0, len(keys) - size), None)
            weights = np.exp(flatness * (np.array(keys[near]) @ query))
            same = np.array(after[near]) == read
            own = share * min(1, len(weights) / min(module.FULL, size))
            expected = (1 - own) * plain + own * weights[same].sum() / weights.sum()
        with np.errstate(divide="ignore"):
            assert np.exp(-nats[0, place]) == pytest.approx(expected, rel=1e-3, abs=1e-6)
        keys.append(query)
        after.append(read)
        _, state = network.step(np.array([read]), state)


@pytest.mark.parametrize("size", [1, 4, 30, 100])
def test_streams_that_go_on_from_one_text_share_its_places(size):
    cached, text = CachedPredictor(networks()[1], 0.6, 2.0, size), ids_of(1, 20)
    _, start = cached.score(text, cached.start(1))
    assert cached.select(start, [0] * 50).keys.size == 0  # they hold nothing of their own
    ends, states, alone = ids_of(1, 7, seed=2)[0], [], []
    for length in (0, 2, 7):
        state, own = start, cached.start(1)
        for read in ends[:length]:
            _, state = cached.step(np.array([read]), state)
        for read in [*text[0], *ends[:length]]:  # step by step, nothing is shared
            _, own = cached.step(np.array([read]), own)
        states.append(state)
        alone.append(own)
    together, next_ids = cached.stack(states), ids_of(3, 5, seed=3)
    for step in range(5):
        prediction, together = cached.step(next_ids[:, step], together)
        for row in range(3):
            expected, alone[row] = cached.step(next_ids[row : row + 1, step], alone[row])
            np.testing.assert_allclose(
                prediction.log_probs()[row], expected.log_probs()[0], atol=1e-4
            )
    nats, _ = cached.score(next_ids, together)
    for row in range(3):
        expected, _ = cached.score(next_ids[row : row + 1], alone[row])
        np.testing.assert_allclose(nats[row], expected[0], atol=1e-4)


def test_outputs_are_the_same_from_either_network():
    neural, runtime = networks()
    ids = ids_of(2, 9)
    one, other = (each.score_with_outputs(ids, each.start(2)) for each in (neural, runtime))
    np.testing.assert_allclose(one[0], other[0], atol=1e-4)
    np.testing.assert_allclose(one[1], other[1], atol=1e-4)
    for each, (nats, outputs, state) in zip((neural, runtime), (one, other), strict=True):
        np.testing.assert_allclose(nats, each.score(ids, each.start(2))[0], atol=1e-5)
        np.testing.assert_allclose(outputs[:, 0], each.outputs(each.start(2)), atol=1e-5)
        np.testing.assert_allclose(
            each.prediction(state).log_probs(),
            each.prediction(each.score(ids, each.start(2))[1]).log_probs(),
            atol=1e-5,
        )


def test_a_long_stream_in_segments_has_the_same_outputs():
    neural = networks()[0]
    ids = ids_of(1, 5000)
    nats, outputs, _ = neural.score_with_outputs(ids, neural.start(1))
    whole, _ = neural.score(ids, neural.start(1))
    np.testing.assert_allclose(nats, whole, atol=1e-3)
    _, state = neural.score(ids[:, :4321], neural.start(1))
    np.testing.assert_allclose(outputs[0, 4321], neural.outputs(state)[0], atol=1e-3)


def test_what_was_read_lately_becomes_more_probable():
    network = networks()[1]
    cached = CachedPredictor(network, 0.4, 1.0, size=4)
    plain, state = network.start(1), cached.start(1)
    for _ in range(6):
        prediction, state = cached.step(np.array([5]), state)
        before, plain = network.step(np.array([5]), plain)
    assert np.exp(prediction.log_probs()[0, 5]) == pytest.approx(
        0.4 + 0.6 * np.exp(before.log_probs()[0, 5]), rel=1e-4
    )


def test_a_cache_of_a_few_places_has_little_to_say():
    network = networks()[1]
    cached = CachedPredictor(network, 0.5, 1.0)
    prediction, _ = cached.step(np.array([5]), cached.start(1))
    before, _ = network.step(np.array([5]), network.start(1))
    gained = np.exp(prediction.log_probs()[0, 5]) - np.exp(before.log_probs()[0, 5])
    assert 0 < gained < 0.5 / module.FULL


def test_side_by_side_all_columns_are_what_each_would_say_alone():
    network = networks()[1]
    bigram = Bigram(networks()[1].prediction(network.start(V)).log_probs(), BOUNDARY)
    rows = np.array([[1, 0, 0], [0, 0, 1], [0.6, 0, 0.4], [0.5, 0.2, 0.3]])
    sides = SideBySide([CachedPredictor(network, 0.5, 1.5), bigram], rows)
    ids = ids_of(2, 20)
    nats, _ = sides.score(ids, sides.start(2))
    inner = CachedPredictor(network, 0.2 / 0.7, 1.5)
    alone = [
        network,
        bigram,
        MixturePredictor([network, bigram], np.array([[0.6, 0.4]])),
        MixturePredictor([inner, bigram], np.array([[0.7, 0.3]])),
    ]
    for column, predictor in enumerate(alone):
        expected, _ = predictor.score(ids, predictor.start(2))
        np.testing.assert_allclose(nats[..., column], expected, atol=1e-4)


@pytest.mark.parametrize("size", [3, 9, 100])
def test_a_state_that_was_settled_predicts_as_before(size):
    cached = CachedPredictor(networks()[1], 0.3, 2.0, size)
    mixture = MixturePredictor(
        [cached, Bigram(np.full((V, V), -np.log(V)), BOUNDARY)], np.array([[0.5, 0.5]])
    )
    state = mixture.read(ids_of(1, 20), mixture.start(1))
    for token in ids_of(6, 1, seed=4):
        _, state = mixture.step(token, state)
    after = mixture.settled(state)
    assert after[0].ids.shape[1] == 0  # all of it is shared by who goes on from there
    for token in ids_of(6, 1, seed=5):
        (said, state), (also, after) = mixture.step(token, state), mixture.step(token, after)
        np.testing.assert_allclose(also.log_probs(), said.log_probs(), atol=1e-5)
