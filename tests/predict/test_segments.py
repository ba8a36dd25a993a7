"""A long stream scored in segments side by side is the stream scored in order."""

import numpy as np
import pytest
import torch

from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig
from charlm.predict import segments
from charlm.predict.neural import NeuralPredictor

V, BOUNDARY = 13, 12


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    monkeypatch.setattr(segments, "LENGTH", 20)
    monkeypatch.setattr(segments, "SEGMENTS", 8)
    monkeypatch.setattr(segments, "WARM_UP", 10)


def predictor_of(cell, layers=2, **options):
    torch.manual_seed(1)
    network = LanguageNetwork(NetworkConfig(V, 4, 6, num_layers=layers, cell=cell, **options))
    return NeuralPredictor(network, BOUNDARY)


def counted(predictor):
    """Let every reading in order leave the number of its streams."""
    streams, score_in_order = [], predictor.score_in_order

    def score(ids, state):
        streams.append(len(ids))
        return score_in_order(ids, state)

    predictor.score_in_order = score
    return streams


def assert_same_as_in_order(predictor, ids):
    state = predictor.score_in_order(ids_of(1, 7, seed=5), predictor.start(1))[1]
    expected, after = predictor.score_in_order(ids, state)
    streams = counted(predictor)
    nats, end = predictor.score(ids, state)
    assert nats.shape == ids.shape and nats.dtype == np.float32
    np.testing.assert_allclose(nats, expected, atol=1e-4)
    for ours, theirs in zip((*end.hidden, end.output), (*after.hidden, after.output), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    return streams


def ids_of(*shape, seed=0):
    return np.random.default_rng(seed).integers(V, size=shape)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("length", [80, 81, 159, 160, 333])
def test_it_is_the_same_and_reads_side_by_side(cell, length):
    streams = assert_same_as_in_order(predictor_of(cell), ids_of(1, length))
    assert max(streams) == min(8, length // 20)


def test_with_a_second_level_it_is_the_same():
    assert_same_as_in_order(predictor_of("lstm", cutoffs=(3, 8)), ids_of(1, 200))


@pytest.mark.parametrize("options", [{"mogrifier": 3}, {"mixtures": 2}])
def test_with_mogrifier_rounds_or_mixed_softmaxes_it_is_the_same(options):
    assert_same_as_in_order(predictor_of("lstm", **options), ids_of(1, 200))


def unforgetting():
    """Make a network each of whose units keeps the sign that it first takes."""
    predictor = predictor_of("rnn", layers=1)
    layer = predictor.network.stack.layers[0]
    with torch.no_grad():
        layer.weight_hh.copy_(30 * torch.eye(6))
        layer.weight_ih.mul_(5)
    return predictor


def test_a_network_that_never_forgets_is_read_again_until_all_fits():
    streams = assert_same_as_in_order(unforgetting(), ids_of(1, 160))
    assert len(streams) > 4, "the guesses were right: this test shows nothing"


def test_after_some_rounds_the_rest_is_read_in_order(monkeypatch):
    monkeypatch.setattr(segments, "ROUNDS", 2)
    streams = assert_same_as_in_order(unforgetting(), ids_of(1, 170))
    assert len(streams) == 4 and streams[-1] == 1


def test_in_double_precision_it_is_the_same_in_double_precision():
    predictor = predictor_of("lstm")
    predictor = NeuralPredictor(predictor.network.double(), BOUNDARY)
    state = predictor.start(1)
    expected, after = predictor.score_in_order(ids_of(1, 200), state)
    nats, end = predictor.score(ids_of(1, 200), state)
    np.testing.assert_allclose(nats, expected, rtol=0, atol=1e-6)  # nats are float32
    torch.testing.assert_close(end.output, after.output, rtol=0, atol=1e-12)


def test_what_is_short_or_several_streams_is_read_in_order():
    predictor = predictor_of("lstm")
    streams = counted(predictor)
    predictor.score(ids_of(1, 79), predictor.start(1))
    predictor.score(ids_of(2, 400), predictor.start(2))
    assert streams == [1, 2]
