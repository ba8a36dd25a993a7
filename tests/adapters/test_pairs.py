"""Continuations are scored as they would be alone, whatever is read beside them."""

from itertools import pairwise

import numpy as np
import pytest

from charlm.adapters.pairs import pieces, read_texts, score_pairs
from charlm.text.alphabets import make_byte_tokenizer
from tests.predictors import Bigram


@pytest.fixture(scope="module")
def bigram():
    return Bigram.random(make_byte_tokenizer(), seed=3)


def ids(*lengths, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(256, size=length) for length in lengths]


class Counting(Bigram):
    """Counts the ids of contexts that it reads."""

    read = 0

    def score(self, ids, state):
        type(self).read += ids.size
        return super().score(ids, state)


@pytest.mark.parametrize("streams", [1, 2, 3, 64])
def test_side_by_side_is_as_one_by_one(bigram, streams):
    contexts, ends = ids(5, 0, 3, 5, 9, 3), ids(2, 4, 0, 1, 3, 2, seed=1)
    contexts[3] = contexts[0]
    found = score_pairs(bigram, list(zip(contexts, ends, strict=True)), streams)
    for context, end, (nats, greedy) in zip(contexts, ends, found, strict=True):
        whole = np.concatenate([[bigram.boundary_id], context, end]).astype(int)
        costs = [bigram.table[a, b] for a, b in pairwise(whole)]
        assert nats == pytest.approx(sum(costs[len(context) :]), rel=1e-6)
        assert greedy == (len(end) == 0)


def test_what_is_most_probable_everywhere_is_greedy(bigram):
    best, at = [], bigram.boundary_id
    for _ in range(5):
        at = int(bigram.table[at].argmax())
        best.append(at)
    context, end = np.array(best[:2]), np.array(best[2:])
    other = np.array([*best[2:4], (best[4] + 1) % 256])
    [(_, greedy), (_, not_greedy)] = score_pairs(bigram, [(context, end), (context, other)], 8)
    assert greedy and not not_greedy


def test_a_context_that_is_shared_is_read_once():
    model = Counting.random(make_byte_tokenizer())
    [context, *ends] = ids(50, 2, 3, 2, 4)
    score_pairs(model, [(context, end) for end in ends], 64)
    assert Counting.read == 50


def test_states_come_in_the_order_of_the_texts(bigram):
    texts = ids(4, 1, 0, 4, 2)
    state = read_texts(bigram, texts)
    assert state.tolist() == [t[-1] if len(t) else bigram.boundary_id for t in texts]


def test_nothing_asked_nothing_answered(bigram):
    assert score_pairs(bigram, [], 8) == []
    assert [list(part) for part in pieces(range(5), 2)] == [[0, 1], [2, 3], [4]]
