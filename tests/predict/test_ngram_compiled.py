"""Counts by compiled functions are those by NumPy, number for number."""

import builtins
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.predict.ngram import NgramPredictor, NgramTable
from charlm.predict.predictor import compile_all, has_numba
from tests.predict.laws import check_laws
from tests.predict.test_ngram import V, predictor_of

pytest.importorskip("numba")

TEXTS = st.lists(st.lists(st.integers(1, V - 1), max_size=30), min_size=1, max_size=4)


@settings(max_examples=40)
@given(TEXTS, st.integers(1, 6), st.lists(st.integers(0, V - 1), min_size=1, max_size=20))
def test_states_and_predictions_are_the_same(documents, order, read):
    plain, compiled = predictor_of(documents, order), predictor_of(documents, order)
    compiled.compile_all()
    assert compiled._compiled is not None
    states = plain.start(3), compiled.start(3)
    for first in read:
        ids = np.array([first, (first + 1) % V, 0])
        (said, before), (also, after) = (
            one.step(ids, state) for one, state in zip((plain, compiled), states, strict=True)
        )
        states = before, after
        np.testing.assert_array_equal(before, after)
        np.testing.assert_allclose(said.log_probs(), also.log_probs(), atol=1e-6)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_it_is_a_predictor(order):
    predictor = predictor_of([[1, 2, 3, 1, 2, 4, 5, 1, 2]] * 3, order)
    predictor.compile_all()
    check_laws(predictor, np.random.default_rng(0).integers(V, size=(7, 20)))


def test_states_that_lie_otherwise_in_memory_are_read_all_the_same():
    predictor = predictor_of([[1, 2, 3, 1, 2, 4]], 4)
    state = predictor.step(np.array([1, 2, 3]), predictor.start(3))[1]
    expected = predictor.prediction(state).log_probs()
    predictor.compile_all()
    askew = np.asfortranarray(state)
    np.testing.assert_allclose(predictor.prediction(askew).log_probs(), expected, atol=1e-6)
    ids = np.arange(6)[::2]
    np.testing.assert_array_equal(predictor.step(ids, askew)[1], predictor.step(ids, state)[1])


def askew(array):
    """Lay numbers where no number of their size should begin."""
    memory = np.zeros(array.nbytes + 1, dtype=np.uint8)
    result = memory[1:].view(array.dtype)
    result[:] = array
    return result


@pytest.mark.parametrize("change", [askew, lambda keys: np.repeat(keys, 2)[::2]])
def test_tables_that_cannot_be_compiled_for_are_read_by_numpy(change):
    plain = predictor_of([[1, 2, 3, 1, 2, 4]], 3)
    tables = [NgramTable(change(t.keys), t.log_probs, t.log_backoff) for t in plain.tables]
    predictor = NgramPredictor(tables, 0)
    predictor.compile_all()
    assert predictor._compiled is None
    check_laws(predictor, np.random.default_rng(0).integers(V, size=(2, 9)))


def test_counts_of_single_ids_have_no_state_that_is_written_to():
    predictor = predictor_of([[1, 2, 3, 1, 2, 4]], 1)
    predictor.compile_all()
    memory = np.full((4, 1), 7)
    found = predictor._compiled._after
    found(np.arange(4), memory[:, :0].copy(), predictor._compiled._tables, V, memory[:, 1:])
    assert (memory == 7).all()
    assert predictor.step(np.arange(4), predictor.start(4))[1].shape == (4, 0)


def test_a_numba_that_does_not_fit_is_none(monkeypatch):
    real = builtins.__import__

    def broken(name, *given, **more):
        if name == "numba":
            raise SystemError("initialization of _internal failed")
        return real(name, *given, **more)

    predictor = predictor_of([[1, 2, 3, 1, 2, 4]], 3)
    has_numba.cache_clear()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(builtins, "__import__", broken)
            compile_all(predictor)
    finally:
        has_numba.cache_clear()
    assert predictor._compiled is None
    compile_all(predictor)
    assert predictor._compiled is not None


def test_without_numba_it_counts_in_numpy(monkeypatch):
    monkeypatch.setitem(sys.modules, "charlm.predict.ngram_compiled", None)
    predictor = predictor_of([[1, 2, 3, 1, 2, 4]], 3)
    predictor.compile_all()
    assert predictor._compiled is None
