"""The n-grams of a text are the same however it is cut, and take no more memory than they may."""

import subprocess
import sys

import numpy as np
import pytest

from charlm.predict import grams, kneser_ney
from charlm.predict.kneser_ney import estimate

V = 40


@pytest.fixture(scope="module")
def text():
    """Make a skewed text of documents: its ids and boundaries."""
    random = np.random.default_rng(0)
    ids = (random.integers(0, V, size=1_500) ** 3 // V**2).astype(np.uint16)
    boundaries = np.unique([0, *random.integers(1, 1_499, size=20), 1_499])
    return ids, boundaries


@pytest.mark.parametrize("most", [100_000, 2_500, 1_000])
@pytest.mark.parametrize(("places", "cells"), [(64, 1), (1, 1), (64, 4 * V), (1, 10**6)])
def test_pieces_and_ranges_of_any_size_give_the_same(text, monkeypatch, most, places, cells):
    whole = estimate(*text, V, 6, most_bytes=16 * most)
    monkeypatch.setattr(grams, "SORTED", places)
    monkeypatch.setattr(grams, "CELLS", cells)
    monkeypatch.setattr(grams, "PIECE", 1_000)
    monkeypatch.setattr(kneser_ney, "PIECE", 64)
    cut = estimate(*text, V, 6, most_bytes=16 * most)
    assert cut.whole == whole.whole and len(cut.tables) == len(whole.tables)
    for one, other in zip(cut.tables, whole.tables, strict=True):
        np.testing.assert_array_equal(one.keys, other.keys)
        np.testing.assert_allclose(one.log_probs, other.log_probs, atol=1e-6)
        if one.log_backoff is not None:
            np.testing.assert_allclose(one.log_backoff, other.log_backoff, atol=1e-6)


def test_the_memory_of_ids_that_were_read_is_given_back_all_along(text, monkeypatch):
    monkeypatch.setattr(grams, "PIECE", 400)
    calls = []
    estimate(*text, V, 2, release=lambda: calls.append(None))
    assert len(calls) >= 4 * 3


MEASURE = """
import resource, numpy as np
from charlm.predict.kneser_ney import estimate
random = np.random.default_rng(0)
ids = (random.random(3_000_000, dtype=np.float32) ** 4 * 20_000).astype(np.uint16)
estimate(ids[:1_000], np.array([0, 999]), 20_000, 2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
made = estimate(ids, np.array([0, len(ids) - 1]), 20_000, 3, most_bytes=32_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, made.whole)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere peaks are told in other units")
def test_counting_takes_no_more_memory_than_it_says():
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True
    )
    kilobytes, whole = map(int, done.stdout.split())
    assert whole == 1  # there was more than might stay
    assert kilobytes * 1024 < 4 * 3_000_000 + 32_000_000 + 80_000_000
