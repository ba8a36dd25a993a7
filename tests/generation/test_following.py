"""What follows a spelling: the most probable tokens that may, found by NumPy or compiled."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.generation import following
from charlm.generation.following import FAINT, MOST, follow
from charlm.generation.lexicon import Lexicon, Place
from charlm.text.learning import learn_tokenizer


def given_at_random(random, spellings, vocabulary, flatness):
    probs = random.dirichlet(np.full(vocabulary, flatness), spellings)
    places = random.integers(3, size=spellings)
    may_follow = (random.random((3, vocabulary)) < 0.6).astype(np.float64)
    return probs, places, may_follow, (random.random(vocabulary) < 0.3).astype(np.float64)


CASES = (
    st.integers(0, 10**6),
    st.integers(1, 5),
    st.sampled_from([1, 2, 40, MOST, MOST + 1, 200]),
    st.sampled_from([0.02, 0.1, 1.0, 50.0]),
)


@settings(max_examples=80)
@given(*CASES)
def test_it_is_what_one_finds_by_looking_at_each_token(seed, spellings, vocabulary, flatness):
    case = given_at_random(np.random.default_rng(seed), spellings, vocabulary, flatness)
    probs, places, may_follow, ending = case
    found = follow(*case)
    for row in range(spellings):
        may = {t: p for t, p in enumerate(probs[row].tolist()) if may_follow[places[row], t]}
        best = sorted(may, key=lambda token: (-may[token], token))[:MOST]
        best = [token for token in best if may[token] > FAINT]
        assert found.tokens[row] == best and found.shares[row] == [may[t] for t in best]
        sums = [sum(found.shares[row][first:]) for first in range(len(best) + 1)]
        np.testing.assert_allclose(found.tails[row], sums, atol=1e-12)
        assert found.rest[row] == pytest.approx(sum(may.values()) - sums[0], abs=1e-12)
        assert found.ends[row] == pytest.approx(float(probs[row] @ ending))


@settings(max_examples=80)
@given(*CASES)
def test_the_compiled_way_finds_the_same(seed, spellings, vocabulary, flatness):
    pytest.importorskip("numba")
    from charlm.generation.following_compiled import follow_compiled

    case = given_at_random(np.random.default_rng(seed), spellings, vocabulary, flatness)
    plain, compiled = follow(*case), follow_compiled(*case)
    assert compiled.tokens == plain.tokens and compiled.shares == plain.shares
    for one, other in zip(plain.tails, compiled.tails, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    np.testing.assert_allclose(plain.rest, compiled.rest, atol=1e-12)
    np.testing.assert_allclose(plain.ends, compiled.ends, atol=1e-12)


def test_a_lexicon_follows_by_numpy_where_numba_is_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "charlm.generation.following_compiled", None)
    lexicon = Lexicon(learn_tokenizer("char", lambda: ["the cat"]))
    lexicon.compile_all()
    assert lexicon.follow is following.follow
    assert lexicon.may_follow.shape == (len(Place), len(lexicon.pieces))
