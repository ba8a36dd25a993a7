"""A prediction in two levels: every answer is the whole distribution's, and opens what it needs."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.predict.clustered import ClusteredPrediction
from charlm.predict.predictor import DensePrediction


def normal(logits):
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


class Case:
    """A random prediction, the same one as a whole, and which clusters were opened."""

    def __init__(self, seed, streams, edges, scale=2.0):
        generator = np.random.default_rng(seed)
        self.size = edges[-1]
        bounds = list(pairwise(edges))
        first = normal(scale * generator.normal(size=(streams, edges[0] + len(bounds))))
        inner = [normal(scale * generator.normal(size=(streams, b - a))) for a, b in bounds]
        self.opened = []

        def inside(number, rows):
            self.opened.append((number, len(rows)))
            return inner[number][rows]

        self.one = ClusteredPrediction(lambda: first, bounds, inside)
        pieces = [first[:, edges[0] + n, None] + logs for n, logs in enumerate(inner)]
        self.whole = DensePrediction(np.concatenate([first[:, : edges[0]], *pieces], axis=1))


@settings(deadline=None)
@given(
    st.integers(0, 1000),
    st.integers(1, 4),
    st.sets(st.integers(1, 30), min_size=2, max_size=6),
    st.integers(1, 40),
)
def test_every_answer_is_that_of_the_whole(seed, streams, edges, k):
    case = Case(seed, streams, sorted(edges))
    generator = np.random.default_rng(seed)
    asked = generator.integers(case.size, size=streams)
    noise = generator.random(streams)
    for _ in range(2):  # before the whole is known, and after
        np.testing.assert_allclose(case.one.of(asked), case.whole.of(asked))
        ids, values = case.one.top(k)
        np.testing.assert_allclose(values, case.whole.top(k)[1])
        np.testing.assert_allclose(values, np.take_along_axis(case.whole.log_probs(), ids, axis=1))
        drawn = case.one.draw(lambda logs: logs, noise)
        np.testing.assert_array_equal(drawn, case.whole.draw(lambda logs: logs, noise))
        np.testing.assert_allclose(case.one.log_probs(), case.whole.log_probs())
        np.testing.assert_allclose(np.exp(case.one.log_probs()).sum(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize(
    "ids, opened",
    [([0, 3, 1], []), ([0, 5, 1], [(0, 1)]), ([15, 4, 12], [(0, 1), (1, 2)])],
)
def test_asked_of_some_ids_it_opens_their_clusters_alone(ids, opened):
    case = Case(0, 3, [4, 10, 20])
    case.one.of(np.array(ids))
    assert case.opened == opened


def test_a_cluster_too_improbable_for_the_best_stays_closed():
    first = normal(np.array([[5.0, 4.0, 3.0, 3.5, -9.0]]))  # three words, two clusters
    opened = []

    def inside(number, rows):
        opened.append(number)
        return np.log(np.full((1, 4), 0.25))

    one = ClusteredPrediction(lambda: first, [(3, 7), (7, 11)], inside)
    assert one.top(2)[0].tolist() == [[0, 1]] and opened == []
    assert one.top(3)[0].tolist() == [[0, 1, 2]] and opened == [0]
    assert one.top(8)[0].shape == (1, 8) and opened == [0, 1]


def test_what_is_opened_for_all_is_not_opened_again():
    case = Case(0, 2, [4, 10, 20])
    case.one.log_probs()
    assert case.opened == [(0, 2), (1, 2)]
    case.one.of(np.array([15, 6]))
    case.one.top(20)
    case.one.draw(lambda logs: logs, np.array([0.1, 0.9]))
    assert len(case.opened) == 2
