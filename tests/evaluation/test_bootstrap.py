"""Intervals: as wide as a text is uncertain, the same each time, whatever its tokens."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.evaluation import bootstrap
from charlm.evaluation.bootstrap import Stretches, intervals


def stretches_of(sizes, nats, cuts=()):
    stretches = Stretches()
    for part in np.split(np.arange(len(sizes)), cuts):
        stretches.add(sizes[part], nats[part])
    return stretches


def dependent(random, length, run):
    """Make costs of tokens in which runs of text, of random length, are hard or easy together."""
    runs = random.geometric(1 / run, size=1 + 4 * length // run)
    moods = np.repeat(random.exponential(1.0, size=len(runs)), runs)[:length]
    return moods + random.exponential(2.0, size=length)


@pytest.mark.parametrize("length, run", [(5_000, 20), (60_000, 100)])
def test_the_interval_covers_the_truth_about_95_times_in_100(length, run):
    random, covered, tries = np.random.default_rng(0), 0, 300
    for seed in range(tries):
        sizes = random.integers(1, 8, size=length)
        sums, units = stretches_of(sizes, dependent(random, length, run)).sums()
        low, high = intervals(sums, units, seed)[0]
        covered += low < 3.0 / 4.0 < high  # a token costs 3 nats and has 4 units
    assert 0.92 <= covered / tries <= 0.975


def test_single_tokens_would_promise_too_much(monkeypatch):
    random = np.random.default_rng(0)
    nats, ones = dependent(random, 32_768, 200), np.ones(32_768, dtype=int)
    wide = np.diff(intervals(*stretches_of(ones, nats).sums()))
    plain = np.diff(intervals(*stretches_of(ones, random.permutation(nats)).sums()))
    assert wide > 2 * plain


def test_four_times_the_text_halves_the_interval():
    random, ones = np.random.default_rng(0), np.ones(20_000, int)
    short, long = [], []
    for seed in range(20):
        short.append(np.diff(intervals(*stretches_of(ones, dependent(random, 20_000, 20)).sums())))
        more = dependent(random, 80_000, 20)
        long.append(np.diff(intervals(*stretches_of(np.ones(80_000, int), more).sums(), seed)))
    assert 0.4 < np.mean(long) / np.mean(short) < 0.6


def test_the_same_sums_have_the_same_interval_and_another_seed_nearly():
    sums, units = stretches_of(np.ones(4_000, int), np.random.default_rng(0).random(4_000)).sums()
    once, again, other = intervals(sums, units), intervals(sums, units), intervals(sums, units, 1)
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)
    np.testing.assert_allclose(once, other, rtol=0.01)


def test_several_predictors_get_the_intervals_they_get_alone():
    nats = np.random.default_rng(0).random((4_000, 3))
    together = intervals(*stretches_of(np.ones(4_000, int), nats).sums())
    for column in range(3):
        alone = intervals(*stretches_of(np.ones(4_000, int), nats[:, column]).sums())
        np.testing.assert_allclose(together[column], alone[0])


@settings(max_examples=50)
@given(st.integers(0, 1000), st.integers(1, 400), st.lists(st.integers(0, 300), max_size=4))
def test_every_token_is_in_the_stretch_in_which_it_begins(seed, length, cuts):
    random = np.random.default_rng(seed)
    sizes, nats = random.integers(1, 9, size=length), random.random(length)
    before = bootstrap.MOST, bootstrap.SHORTEST
    bootstrap.MOST, bootstrap.SHORTEST = 8, 4
    try:
        stretches = stretches_of(sizes, nats, sorted(min(cut, length) for cut in cuts))
        sums, units = stretches.sums()
    finally:
        bootstrap.MOST, bootstrap.SHORTEST = before
    assert units.sum() == sizes.sum() and len(units) <= 8
    begins = np.cumsum(sizes) - sizes
    expected = np.bincount(begins // stretches.size, weights=nats, minlength=len(units))
    np.testing.assert_allclose(sums[:, 0], expected)


def test_different_tokens_of_one_text_have_the_same_stretches():
    letters, words = np.ones(100_000, dtype=int), np.full(12_500, 8)
    one = stretches_of(letters, np.full(100_000, 0.5), [777, 50_000])
    other = stretches_of(words, np.full(12_500, 4.0))
    np.testing.assert_array_equal(one.sums()[1], other.sums()[1])
    np.testing.assert_allclose(one.sums()[0], other.sums()[0])


def test_too_little_text_has_no_interval():
    assert intervals(*stretches_of(np.ones(480, int), np.ones(480)).sums()) is None
    assert intervals(*stretches_of(np.ones(481, int), np.ones(481)).sums()) is not None
    assert intervals(*Stretches().sums()) is None
