"""Caches of several lengths side by side: each stream predicts what it would alone."""

import numpy as np
import pytest

from charlm.predict import ragged
from charlm.predict.cache import CachedPredictor
from charlm.predict.places import NOTHING, Places
from charlm.predict.ragged import RaggedPlaces
from tests.predict.test_neural_cache import V, ids_of, networks

LENGTHS = (0, 3, 70, 200, 1)


def unchanged(logs):
    return logs


unchanged.only = (1.0, 0)


def cached(size):
    return CachedPredictor(networks((3, 8))[1], 0.3, 2.0, size)


def begun(predictor):
    """Give streams that have read texts of several lengths, each apart and all stacked."""
    states = []
    for number, length in enumerate(LENGTHS):
        state = predictor.start(1)
        if length:
            state = predictor.score(ids_of(1, length, seed=number), state)[1]
        states.append(state)
    return states, predictor.stack(states)


def check_alike(together, alone, ids, noise):
    logs = np.concatenate([each.log_probs() for each in alone])
    drawn = [each.draw(unchanged, noise[row : row + 1])[0] for row, each in enumerate(alone)]
    np.testing.assert_array_equal(together.draw(unchanged, noise), drawn)
    np.testing.assert_allclose(together.of(ids), logs[np.arange(len(ids)), ids], atol=1e-5)
    np.testing.assert_allclose(together.log_probs(), logs, atol=1e-5)


@pytest.mark.parametrize("size", [1, 50, 2000])
def test_streams_of_all_lengths_are_each_as_alone(size):
    predictor, random = cached(size), np.random.default_rng(0)
    apart, together = begun(predictor)
    assert isinstance(together.places, RaggedPlaces)
    for _ in range(130):  # longer than there is room for at first
        ids = random.integers(V, size=len(LENGTHS))
        prediction, together = predictor.step(ids, together)
        alone = []
        for row, state in enumerate(apart):
            one, apart[row] = predictor.step(ids[row : row + 1], state)
            alone.append(one)
        check_alike(prediction, alone, ids, random.random(len(ids)))
    again = predictor.stack([together, predictor.select(together, [3, 0])])
    found = predictor.prediction(again).log_probs()
    np.testing.assert_allclose(found[5:], found[[3, 0]], atol=1e-5)


def test_a_state_that_went_two_ways_is_still_what_it_was():
    predictor = cached(100)
    _, state = begun(predictor)
    before = predictor.prediction(state).log_probs()
    doubled = predictor.select(state, [2, 2, 4])
    one, first = predictor.step(np.array([1, 2, 3]), doubled)
    other, second = predictor.step(np.array([4, 5, 6]), doubled)
    for ids, prediction, after in (([1, 2, 3], one, first), ([4, 5, 6], other, second)):
        fresh = [predictor.select(begun(predictor)[1], [row]) for row in (2, 2, 4)]
        alone = [
            predictor.step(np.array([token]), own)[1] for token, own in zip(ids, fresh, strict=True)
        ]
        expected = [predictor.prediction(own).log_probs() for own in alone]
        found = predictor.prediction(after).log_probs()
        np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-5)
        np.testing.assert_allclose(prediction.log_probs(), found, atol=1e-5)
    np.testing.assert_array_equal(predictor.prediction(state).log_probs(), before)


def test_a_text_is_scored_from_streams_of_all_lengths():
    predictor = cached(60)
    apart, together = begun(predictor)
    ids = ids_of(len(LENGTHS), 90, seed=7)
    nats, after = predictor.score(ids, together)
    for row, state in enumerate(apart):
        own, end = predictor.score(ids[row : row + 1], state)
        np.testing.assert_allclose(nats[row], own[0], atol=1e-4)
        one = predictor.prediction(predictor.select(after, [row])).log_probs()
        np.testing.assert_allclose(one, predictor.prediction(end).log_probs(), atol=1e-4)


def test_what_is_next_to_impossible_has_its_probability():
    predictor = cached(100)
    _, state = begun(predictor)
    prediction, _ = predictor.step(np.full(len(LENGTHS), 5), state)
    tiny = prediction.probs.copy()
    tiny[:, 3] = 0
    expected = prediction._log_mix(np.arange(len(LENGTHS)), np.full(len(LENGTHS), 3))
    prediction.__dict__["probs"] = tiny
    np.testing.assert_allclose(prediction.of(np.full(len(LENGTHS), 3)), expected, atol=1e-5)


def test_large_places_are_not_copied_when_a_stream_leaves(monkeypatch):
    monkeypatch.setattr(ragged, "LARGE", 1)
    keys = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    ids = np.array([[1, 2, 3, 4], [NOTHING, NOTHING, 5, 6], [7, 8, 9, 1]])
    left = ragged.selected(Places(keys, ids), np.array([2, 1]))
    assert isinstance(left, RaggedPlaces) and left.lengths.tolist() == [4, 2]
    np.testing.assert_array_equal(left.ids, ids[[2, 1]])
    np.testing.assert_array_equal(left.keys[0], keys[2])
    again = left.select(np.array([1, 0, 1]))
    assert [again._parts[row][0] for row in range(3)] == [left._parts[row][0] for row in (1, 0, 1)]
