"""Sampling rules: what they keep, in what order, and what they never touch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import UsageError
from charlm.generation.options import SamplingOptions, biases_of
from charlm.generation.sampling import (
    apply_rules,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    keep_typical,
)


def logs(seed=0, size=30):
    logits = np.random.default_rng(seed).normal(size=(2, size)).astype(np.float32) * 2
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def kept(values):
    return np.isfinite(values).sum(axis=1).tolist()


@given(st.integers(0, 100), st.integers(1, 40))
def test_top_k_keeps_the_k_best_as_they_are(seed, k):
    before = logs(seed)
    after = keep_top_k(before, k)
    assert kept(after) == [min(k, 30)] * 2
    best = np.sort(before, axis=1)[:, ::-1][:, : min(k, 30)]
    np.testing.assert_array_equal(np.sort(after, axis=1)[:, ::-1][:, : min(k, 30)], best)


@given(st.integers(0, 100), st.floats(0.01, 1.0))
def test_top_p_keeps_the_fewest_that_reach_p(seed, p):
    before = logs(seed)
    after = keep_top_p(before, p)
    for old, new in zip(before, after, strict=True):
        probabilities = np.sort(np.exp(old[np.isfinite(new)].astype(np.float64)))
        assert probabilities.sum() >= p - 1e-5
        assert probabilities[1:].sum() < p + 1e-5


@given(st.integers(0, 100), st.integers(2, 30), st.floats(0.01, 0.999))
def test_of_equals_the_first_are_kept_and_what_was_ruled_out_stays_out(seed, k, p):
    before = np.round(logs(seed))
    before[:, ::4] = -np.inf
    order = np.argsort(-before, axis=1, kind="stable")
    for after in (keep_top_k(before, k), keep_top_p(before, p)):
        for old, new, own in zip(before, after, order, strict=True):
            chosen = own[: np.isfinite(new).sum()]
            assert sorted(chosen) == np.flatnonzero(np.isfinite(new)).tolist()
            assert (new[chosen] == old[chosen]).all()


@given(st.integers(0, 100), st.floats(0.01, 1.0))
def test_min_p_keeps_those_near_the_best(seed, p):
    before = logs(seed)
    expected = np.exp(before) >= p * np.exp(before).max(axis=1, keepdims=True) * (1 - 1e-6)
    assert (np.isfinite(keep_min_p(before, p)) <= expected).all()
    assert all(count >= 1 for count in kept(keep_min_p(before, p)))


def test_temperature_zero_leaves_only_the_best():
    after = apply_rules(logs(), SamplingOptions(temperature=0))
    assert kept(after) == [1, 1]
    assert (after.argmax(axis=1) == logs().argmax(axis=1)).all()


def test_temperature_divides():
    np.testing.assert_allclose(apply_rules(logs(), SamplingOptions(temperature=2)), logs() / 2)


def test_a_penalty_makes_recent_ids_less_probable_and_no_others():
    history = np.array([[3, -1, 3], [5, 6, -1]])
    after = apply_rules(logs(), SamplingOptions(repetition_penalty=1.5), history)
    changed = after != logs()
    assert [np.flatnonzero(row).tolist() for row in changed] == [[3], [5, 6]]
    np.testing.assert_allclose(after[0, 3], logs()[0, 3] * 1.5, rtol=1e-6)


def test_a_penalty_makes_an_id_less_probable_also_where_a_bias_favours_it():
    history, shares = np.array([[-1, 3], [3, 3]]), []
    for penalty in (1.0, 1.5, 4.0):
        options = SamplingOptions(logit_bias=((3, 20.0),), repetition_penalty=penalty)
        after = apply_rules(logs(), options, history)
        shares.append(np.exp(after[:, 3] - np.logaddexp.reduce(after, axis=1)))
    assert (shares[0] > shares[1]).all() and (shares[1] > shares[2]).all()


@given(st.integers(0, 100), st.floats(1e-4, 0.5))
def test_eta_keeps_what_the_equation_says_and_always_the_best(seed, epsilon):
    before = logs(seed)
    after = apply_rules(before, SamplingOptions(eta_cutoff=epsilon))
    for old, new in zip(before.astype(np.float64), after, strict=True):
        shares = np.exp(old) / np.exp(old).sum()
        entropy = -sum(p * np.log(p) for p in shares)
        eta = min(epsilon, np.sqrt(epsilon) * np.exp(-entropy))
        expected = [p >= eta or p == max(shares) for p in shares]
        assert np.isfinite(new).tolist() == expected and (new[np.isfinite(new)] != 0).all()


def test_biases_are_added_to_the_ids_named():
    biases = biases_of({"3": 2, 5: -100.0, np.int64(7): np.float32(0.5)}, 30)
    after = apply_rules(logs(), SamplingOptions(logit_bias=biases)) - logs()
    expected = np.zeros((2, 30))
    expected[:, [3, 5, 7]] = 2, -100, 0.5
    np.testing.assert_allclose(after, expected, atol=1e-5)
    assert SamplingOptions(logit_bias=biases).only is None


@pytest.mark.parametrize(
    "given",
    [5, [1], {30: 1.0}, {-1: 1}, {"x": 1}, {True: 1}, {1: True}, {1: "2"}, {1: 101}, {1: np.nan}],
    ids=repr,
)
def test_biases_that_make_no_sense_are_refused(given):
    with pytest.raises(UsageError, match="logit_bias must"):
        biases_of(given, 30)


def test_biases_of_all_ids_are_added_as_those_of_a_few_are():
    given = {token: token / 10 for token in range(30)}
    after = apply_rules(logs(), SamplingOptions(logit_bias=biases_of(given, 30)))
    np.testing.assert_allclose(after - logs(), [list(given.values())] * 2, atol=1e-5)
    assert after.dtype == np.float32


def test_the_defaults_change_nothing():
    np.testing.assert_array_equal(apply_rules(logs(), SamplingOptions()), logs())


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"eta_cutoff": -0.1},
        {"eta_cutoff": 1.0},
        {"min_tokens": -1},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"min_p": -0.1},
        {"repetition_penalty": 0.0},
    ],
)
def test_senseless_numbers_are_refused(values):
    with pytest.raises(UsageError, match=next(iter(values))):
        SamplingOptions(**values)


@given(st.integers(0, 1000), st.floats(0.05, 0.99))
def test_typical_sampling_keeps_the_fewest_nearest_to_the_expected_surprise(seed, p):
    logs = np.log(np.random.default_rng(seed).dirichlet(np.ones(12), size=2))
    for row, kept in zip(logs, keep_typical(logs, p), strict=True):
        shares = np.exp(row)
        distance = np.abs(-row + (shares * row).sum())
        inside = np.isfinite(kept)
        assert shares[inside].sum() >= p - 1e-9
        assert distance[inside].max() <= distance[~inside].min(initial=np.inf)
        farthest = np.flatnonzero(inside)[distance[inside].argmax()]
        assert shares[inside].sum() - shares[farthest] < p
        assert (kept[inside] == row[inside]).all()


def test_penalties_take_nats_once_and_for_each_time():
    logs, history = np.log(np.full((1, 4), 0.25)), np.array([[-1, 2, 1, 2]])
    options = SamplingOptions(presence_penalty=0.5, frequency_penalty=0.25)
    taken = logs - apply_rules(logs, options, history)
    np.testing.assert_allclose(taken[0], [0, 0.75, 1.0, 0])


def test_the_prompt_counts_for_some_penalties_and_not_for_others():
    logs, history = np.log(np.full((1, 4), 0.25)), np.array([[-1, 0, 0, 1, 2]])

    def taken(**options):
        return (logs - apply_rules(logs, SamplingOptions(**options), history, np.array([2])))[0]

    np.testing.assert_allclose(taken(presence_penalty=1.0), [0, 1, 1, 0])
    np.testing.assert_allclose(taken(frequency_penalty=1.0), [0, 1, 1, 0])
    np.testing.assert_allclose(taken(repetition_penalty=2.0) > 0, [1, 1, 1, 0])
    assert np.isinf(taken(no_repeat_ngram_size=1)).tolist() == [1, 1, 1, 0]


def without_repeats(logs, history, n):
    return np.isfinite(apply_rules(logs, SamplingOptions(no_repeat_ngram_size=n), history))


def test_no_ids_are_written_twice_in_the_same_order():
    logs, history = np.log(np.full((1, 4), 0.25)), np.array([[-1, 0, 1, 2, 0, 1]])
    assert without_repeats(logs, history, 3)[0].tolist() == [1, 1, 0, 1]
    assert without_repeats(logs, history, 1)[0].tolist() == [0, 0, 0, 1]
    assert without_repeats(logs, np.array([[0, 1, 2, 3]]), 1).all()  # something must come


@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 4))
def test_what_is_forbidden_is_what_would_complete_ids_seen_before(seed, n, letters):
    random = np.random.default_rng(seed)
    history = np.full((3, 12), -1)
    for row, length in zip(history, random.integers(0, 13, size=3), strict=True):
        row[12 - length :] = random.integers(letters, size=length)
    allowed = without_repeats(np.zeros((3, letters)), history, n)
    for row, may in zip(history, allowed, strict=True):
        past = [str(token) for token in row if token >= 0]
        seen = {tuple(past[at : at + n]) for at in range(len(past) - n + 1)}
        last = past[len(past) - n + 1 :]
        new = [(*last, str(token)) not in seen for token in range(letters)]
        assert may.tolist() == (new if any(new) else [True] * letters)


def test_a_temperature_and_a_top_k_alone_are_told_as_such():
    assert SamplingOptions(temperature=0.5, top_k=3).only == (0.5, 3)
    for other in ("top_p", "min_p", "typical_p", "repetition_penalty", "presence_penalty"):
        assert SamplingOptions(**{other: 0.5}).only is None
    assert SamplingOptions(no_repeat_ngram_size=2).only is None
