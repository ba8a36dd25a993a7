"""Short ways to draw choose the id that the plain one does, by the same noise."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.generation.options import SamplingOptions
from charlm.generation.sampling import apply_rules
from charlm.predict import drawing
from charlm.predict.changes import Cuts, Description
from charlm.predict.clustered import ClusteredPrediction
from charlm.predict.predictor import DensePrediction
from charlm.predict.runtime_heads import Head, SoftmaxPrediction
from charlm.predict.tensors import TensorPrediction

TEMPERATURES = [0.0, 0.3, 0.8, 1.0, 1.7]


class Outputs(Head):
    """A head whose logits are the outputs themselves."""

    def __init__(self):
        super().__init__(np.zeros((1, 1), np.float32), np.zeros(1, np.float32))

    def logits(self, outputs):
        return outputs


class Simple:
    """Rules that tell that they are a temperature and a top-k alone."""

    def __init__(self, temperature, top_k, streams=1):
        self.options = SamplingOptions(temperature=temperature, top_k=top_k)
        self.only, self.streams = self.options.only, streams

    def described(self):
        return Description([], Cuts(*np.array([self.options.cuts] * self.streams).T))

    def __call__(self, log_probs):
        return apply_rules(log_probs, self.options)


def plainly(log_probs, rules, noise):
    """The same rules, but they do not say so."""
    return DensePrediction(log_probs).draw(lambda logs: rules(logs), noise)


def normal(logits):
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("k", [0, 1, 3, 40, 10_000])
@pytest.mark.parametrize("size", [5, 100, 5000])
def test_logits_are_drawn_from_as_their_whole_softmax_is(temperature, k, size):
    generator = np.random.default_rng(size + k)
    for streams in (1, 3):
        rules = Simple(temperature, k, streams)
        logits = 3 * generator.normal(size=(streams, size)) + 50
        softmax = SoftmaxPrediction(Outputs(), logits)
        logs = normal(logits)
        for _ in range(20):
            noise = generator.random(streams)
            expected = plainly(logs, rules, noise)
            np.testing.assert_array_equal(softmax.draw(rules, noise), expected)
            np.testing.assert_array_equal(DensePrediction(logs).draw(rules, noise), expected)
            there = TensorPrediction(torch.from_numpy(logs))
            np.testing.assert_array_equal(there.draw(rules, noise), expected)


def test_a_prediction_on_a_device_answers_as_one_here():
    generator = np.random.default_rng(4)
    logs = normal(generator.normal(size=(4, 50))).astype(np.float32)
    here, there = DensePrediction(logs), TensorPrediction(torch.from_numpy(logs))
    ids, noise = generator.integers(50, size=4), generator.random(4)
    np.testing.assert_array_equal(there.log_probs(), logs)
    np.testing.assert_array_equal(there.of(ids), here.of(ids))
    for one, other in zip(there.top(7), here.top(7), strict=True):
        np.testing.assert_array_equal(one, other)
    penalised = lambda every: every - np.arange(50) / 10  # noqa: E731 (rules that are no temperature)
    np.testing.assert_array_equal(there.draw(penalised, noise), here.draw(penalised, noise))
    drawn = there.draw(Simple(0.8, 5, 4), noise)
    np.testing.assert_array_equal(there.of(drawn), here.of(drawn))
    np.testing.assert_array_equal(there.of(ids), here.of(ids))  # not what was drawn


def test_what_is_drawn_on_a_device_comes_with_its_log_p_in_one_transfer(monkeypatch):
    logs = torch.log_softmax(torch.randn(3, 20), dim=1)
    prediction, transfers = TensorPrediction(logs), []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: transfers.append(1) or cpu(self))
    prediction.of(prediction.draw(Simple(1.0, 0, 3), np.array([0.1, 0.5, 0.9])))
    assert len(transfers) == 1


def test_of_equals_the_first_are_kept():
    logs = np.log(np.full((2, 8), 1 / 8, dtype=np.float32))
    logs[1, 6] += 1
    noise = np.linspace(0, 0.999, 40)
    for k in (2, 3, 5):
        rules = Simple(1.0, k)
        for each in noise:
            both = np.full(2, each)
            drawn = DensePrediction(logs).draw(rules, both)
            np.testing.assert_array_equal(drawn, plainly(logs, rules, both))


@pytest.mark.parametrize("size", [3, 5000])
@pytest.mark.parametrize("streams", [1, 2])
def test_the_last_noise_falls_on_the_last_id_of_any_weight(size, streams):
    weights = np.zeros((streams, size), dtype=np.float32)
    weights[:, size - 2] = 0.1
    for noise in (0.0, 0.5, np.nextafter(1.0, 0.0)):
        drawn = drawing.aimed(weights, np.full(streams, noise))
        assert drawn.tolist() == [size - 2] * streams


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([10, 300, 1024, 5000]), st.integers(1, 3))
def test_an_id_without_weight_is_never_drawn(seed, size, streams):
    generator = np.random.default_rng(seed)
    weights = generator.random((streams, size)).astype(np.float32) ** 9
    weights[generator.random(weights.shape) < 0.9] = 0
    weights[:, generator.integers(size)] = 0.1
    noise = generator.choice([0.0, generator.random(), np.nextafter(1.0, 0.0)], size=streams)
    drawn = drawing.aimed(weights, noise)
    assert (weights[np.arange(streams), drawn] > 0).all()
    exact = np.cumsum(weights, axis=1, dtype=np.float64)
    aims = drawing.aims_of(noise, exact[:, -1])
    np.testing.assert_allclose(exact[np.arange(streams), drawn] >= aims * (1 - 1e-5), True)


class Case:
    """A random prediction in two levels, the same as a whole, and which clusters were opened."""

    def __init__(self, seed, streams, edges, scale=2.0):
        generator = np.random.default_rng(seed)
        bounds = list(pairwise(edges))
        first = normal(scale * generator.normal(size=(streams, edges[0] + len(bounds))))
        inner = [normal(scale * generator.normal(size=(streams, b - a))) for a, b in bounds]
        self.opened = []

        def inside(number, rows):
            self.opened.append(number)
            return inner[number][rows]

        self.one = ClusteredPrediction(lambda: first, bounds, inside)
        pieces = [first[:, edges[0] + n, None] + logs for n, logs in enumerate(inner)]
        self.whole = np.concatenate([first[:, : edges[0]], *pieces], axis=1)


@settings(deadline=None)
@given(
    st.integers(0, 1000),
    st.integers(1, 3),
    st.sets(st.integers(1, 60), min_size=2, max_size=6),
    st.sampled_from([*TEMPERATURES, 0.05, 30.0]),
    st.sampled_from([0, 0, 1, 2, 9, 60]),
)
def test_clusters_are_drawn_from_as_the_whole_is(seed, streams, edges, temperature, k):
    rules = Simple(temperature, k)
    generator = np.random.default_rng(seed)
    for number in range(5):
        case = Case(seed + number, streams, sorted(edges))
        noise = generator.random(streams)
        drawn = case.one.draw(rules, noise)
        np.testing.assert_array_equal(drawn, plainly(case.whole, rules, noise))


def test_a_cluster_that_cannot_change_the_choice_stays_closed():
    logits = np.array([[5.0, 4.0, 3.0, -9.0, -9.5]])  # three words, two clusters
    for temperature in (0.0, 0.5, 0.8, 1.0):
        opened = []
        one = ClusteredPrediction(
            lambda: normal(logits),
            [(3, 7), (7, 11)],
            lambda number, rows, opened=opened: opened.append(number),
        )
        assert one.draw(Simple(temperature, 0), np.array([0.3])).tolist() == [0]
        assert opened == []


def test_at_temperature_one_the_cluster_that_is_hit_is_the_only_one_opened():
    hits = set()
    for seed in range(60):
        case = Case(seed, 1, [4, 10, 20, 40], scale=0.5)
        drawn = int(case.one.draw(Simple(1.0, 0), np.random.default_rng(seed).random(1))[0])
        hit = [number for number, (a, b) in enumerate(pairwise([4, 10, 20, 40])) if a <= drawn < b]
        assert case.opened == hit
        hits.update(hit)
    assert hits == {0, 1, 2}


@pytest.mark.parametrize("size", [3, 320, 700, 1500, 9000])
def test_many_streams_are_drawn_from_block_by_block_as_each_alone(size):
    generator = np.random.default_rng(size)
    weights = generator.random((70, size)).astype(np.float32)
    weights[:, generator.integers(size, size=size // 3)] = 0
    noise = np.concatenate([generator.random(68), [0.0, np.nextafter(1.0, 0.0)]])
    alone = [
        drawing.aimed(row[None], share[None])[0] for row, share in zip(weights, noise, strict=True)
    ]
    np.testing.assert_array_equal(drawing.aimed(weights, noise), alone)
