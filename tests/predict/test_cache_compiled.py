"""What a cache says, weighed and mixed by compiled functions, is what NumPy makes of it."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.predict.cache import CachedPredictor
from charlm.predict.cached import Held, NumpyMixing
from charlm.predict.mixture import MixturePredictor
from charlm.predict.places import NOTHING, Places, group
from charlm.predict.ragged import RaggedPlaces
from tests.predict.laws import check_laws
from tests.predict.test_neural_cache import V, ids_of, networks

pytest.importorskip("numba")

from charlm.predict.cache_compiled import CompiledMixing


def held_at_random(random, streams, places, own):
    ids = random.integers(V, size=(streams, own))
    for row in ids:
        row[: random.integers(own + 1)] = NOTHING
    shared = None
    if places:
        shared = group(random.normal(size=(places, 4)), random.integers(V, size=places))
    like = random.normal(size=(streams, own + places)).astype(np.float32)
    return lambda: Held(like[:, :own].copy(), ids, like[:, own:].copy(), shared)


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.integers(0, 30),
    st.integers(0, 8),
    st.integers(1, 40),
    st.floats(0, 30),
)
def test_weights_and_mixtures_are_the_same(seed, streams, places, own, size, flatness):
    random = np.random.default_rng(seed)
    held = held_at_random(random, streams, places, min(own, size))
    plain, compiled = NumpyMixing(), CompiledMixing()
    expected = plain.weigh(held(), flatness, size)
    found = compiled.weigh(held(), flatness, size)
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_allclose(found.own, expected.own, atol=1e-6)
    np.testing.assert_allclose(found.sums, expected.sums, atol=1e-6)
    total = found.own.sum(axis=1) + found.sums.sum(axis=1)
    np.testing.assert_allclose(total, expected.counts > 0, atol=1e-5)
    probs = random.dirichlet(np.ones(V), streams).astype(np.float32)
    share = random.random((streams, 1)).astype(np.float32) * (expected.counts > 0)[:, None]
    mixed = compiled.mix(probs, share, found, held())
    np.testing.assert_allclose(mixed, plain.mix(probs, share, expected, held()), atol=1e-6)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("network", [0, 1], ids=["torch", "numpy"])
@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_it_is_a_predictor(network, size, share):
    cached = CachedPredictor(networks((3, 8))[network], share, 2.0, size)
    cached.compile_all()
    check_laws(cached, ids_of(3, 25))


@pytest.mark.parametrize("size", [3, 12, 100])
def test_streams_that_go_on_from_one_text_hear_the_same(size):
    plain, compiled = (CachedPredictor(networks()[1], 0.3, 2.0, size) for _ in range(2))
    MixturePredictor([compiled], np.ones((1, 1))).compile_all()
    assert isinstance(compiled._mixing, CompiledMixing)
    text, ids = ids_of(1, 20), ids_of(5, 9, seed=2)
    states = [one.select(one.read(text, one.start(1)), [0] * 5) for one in (plain, compiled)]
    for column in ids.T:
        (said, before), (also, after) = (
            one.step(column, state) for one, state in zip((plain, compiled), states, strict=True)
        )
        states = before, after
        np.testing.assert_allclose(also.log_probs(), said.log_probs(), atol=1e-5)


def test_without_numba_it_mixes_in_numpy(monkeypatch):
    monkeypatch.setitem(sys.modules, "charlm.predict.cache_compiled", None)
    cached = CachedPredictor(networks()[1], 0.3, 2.0, 9)
    cached.compile_all()
    assert not isinstance(cached._mixing, CompiledMixing)
    check_laws(cached, ids_of(3, 12))


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.lists(st.integers(0, 30), min_size=1, max_size=5),
    st.integers(1, 70),
    st.floats(0, 30),
)
def test_lists_of_places_are_weighed_and_mixed_alike(seed, lengths, width, flatness):
    random = np.random.default_rng(seed)
    places = RaggedPlaces.of(
        Places(
            random.normal(size=(1, n, width)).astype(np.float32), random.integers(V, size=(1, n))
        )
        for n in lengths
    )
    queries = random.normal(size=(len(lengths), width)).astype(np.float32)
    share = random.random((len(lengths), 1)).astype(np.float32) * (places.lengths > 0)[:, None]
    plain, compiled = NumpyMixing(), CompiledMixing()
    expected = plain.weigh_lists(places, queries, flatness, share)
    found = compiled.weigh_lists(places, queries, flatness, share)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    probs = random.dirichlet(np.ones(V), len(lengths)).astype(np.float32)
    mixed = compiled.mix_lists(probs, share, found, places)
    np.testing.assert_allclose(mixed, plain.mix_lists(probs, share, expected, places), atol=1e-5)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-5)


def test_streams_with_lists_of_their_own_hear_the_same():
    plain, compiled = (CachedPredictor(networks()[1], 0.3, 2.0, 12) for _ in range(2))
    compiled.compile_all()
    ids = ids_of(4, 9, seed=2)
    states = [
        one.stack([one.read(ids_of(1, n, seed=n), one.start(1)) for n in (3, 20, 1, 9)])
        for one in (plain, compiled)
    ]
    assert all(isinstance(state.places, RaggedPlaces) for state in states)
    for column in ids.T:
        (said, before), (also, after) = (
            one.step(column, state) for one, state in zip((plain, compiled), states, strict=True)
        )
        states = before, after
        np.testing.assert_allclose(also.of(column), said.of(column), atol=1e-5)
        np.testing.assert_allclose(also.log_probs(), said.log_probs(), atol=1e-5)
