"""Lines scored side by side: each as if alone, in their order."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.evaluation import lines, scoring
from charlm.evaluation.lines import score_each
from tests.predictors import Bigram

TABLE = np.log(np.random.default_rng(0).dirichlet(np.ones(9), size=9))
PREDICTOR = Bigram(TABLE, 0)


@given(st.lists(st.lists(st.integers(0, 8), max_size=30), max_size=60), st.integers(1, 9))
def test_each_line_costs_what_it_costs_alone(texts, batch):
    before = lines.BATCH, lines.NUMBERS
    lines.BATCH, lines.NUMBERS = batch, 25
    try:
        got = list(score_each(PREDICTOR, (np.array(text, dtype=np.int64) for text in texts)))
    finally:
        lines.BATCH, lines.NUMBERS = before
    expected = []
    for text in texts:
        read = [0, *text]
        expected.append(-sum(TABLE[a, b] for a, b in pairwise(read)))
    assert got == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_nothing_is_read_ahead_of_a_batch():
    taken = []

    def texts():
        for number in range(lines.BATCH + 5):
            taken.append(number)
            yield np.array([1, 2])

    scores = score_each(PREDICTOR, texts())
    next(scores)
    assert len(taken) == lines.BATCH


def test_lanes_are_no_more_than_fit():
    widths = []

    class Watched(Bigram):
        def score(self, ids, state):
            widths.append(ids.shape)
            return super().score(ids, state)

    texts = [np.ones(length, dtype=np.int64) for length in (1, 2, 3, 20_000, 5, 30_000)]
    assert len(list(score_each(Watched(TABLE, 0), texts))) == 6
    assert all(rows * width <= lines.NUMBERS or rows == 1 for rows, width in widths)


def test_a_line_of_any_length_is_read_in_chunks_and_costs_the_same():
    sizes = []

    class Watched(Bigram):
        def score(self, ids, state):
            sizes.append(ids.size)
            return super().score(ids, state)

    generator = np.random.default_rng(2)
    texts = [generator.integers(0, 9, size=length) for length in (5, 3 * scoring.CHUNK + 7, 0, 40)]
    got = list(score_each(Watched(TABLE, 0), texts))
    assert max(sizes) == scoring.CHUNK and sum(sizes) >= sum(map(len, texts))
    for text, nats in zip(texts, got, strict=True):
        whole, _ = PREDICTOR.score(text[None], PREDICTOR.start(1))
        assert nats == pytest.approx(whole.sum(dtype=np.float64), rel=1e-12)


def test_many_short_lines_are_read_side_by_side_with_little_padding():
    shapes = []

    class Watched(Bigram):
        def score(self, ids, state):
            shapes.append(ids.shape)
            return super().score(ids, state)

    lengths = np.random.default_rng(1).integers(1, 80, size=10_000)
    texts = (np.ones(length, dtype=np.int64) for length in lengths)
    assert len(list(score_each(Watched(TABLE, 0), texts))) == 10_000
    assert len(shapes) <= 10_000 / 100, "one call reads a hundred lines or more"
    assert sum(rows * width for rows, width in shapes) <= 1.2 * lengths.sum()
