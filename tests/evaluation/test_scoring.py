"""Scoring: every token once, whatever the chunks and however documents are put side by side."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.evaluation import scoring
from charlm.evaluation.scoring import Score, score_documents, score_stream
from charlm.text.alphabets import make_byte_tokenizer
from tests.predictors import Bigram

TOKENIZER = make_byte_tokenizer()
PREDICTOR = Bigram.random(TOKENIZER)


def by_hand(ids):
    before = [TOKENIZER.boundary_id, *ids[:-1]]
    return -sum(float(PREDICTOR.table[a, b]) for a, b in zip(before, ids, strict=True))


@given(st.binary(min_size=1, max_size=60), st.integers(1, 20))
def test_a_stream_in_chunks_costs_what_it_costs_by_hand(data, size):
    ids = TOKENIZER.encode(data)
    score = score_stream(PREDICTOR, (ids[i : i + size] for i in range(0, len(ids), size)))
    assert score.tokens == len(data)
    assert score.nats == pytest.approx(by_hand(ids.tolist()), rel=1e-5)


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=30), max_size=60))
def test_documents_side_by_side_cost_what_they_cost_alone(documents):
    ids = [TOKENIZER.encode(document) for document in documents]
    score = score_documents(PREDICTOR, ids)
    assert score.tokens == sum(map(len, documents)) and score.complete
    expected = sum(by_hand(one.tolist()) for one in ids if len(one))
    assert score.nats == pytest.approx(expected, rel=1e-5)


def test_long_documents_are_scored_in_chunks(monkeypatch):
    monkeypatch.setattr(scoring, "SHORT", 10)
    monkeypatch.setattr(scoring, "CHUNK", 7)
    ids = TOKENIZER.encode(bytes(range(100)))
    score = score_documents(PREDICTOR, [ids, ids[:5]])
    assert score.tokens == 105
    assert score.nats == pytest.approx(by_hand(ids.tolist()) + by_hand(ids[:5].tolist()), rel=1e-5)


def test_past_the_deadline_the_rest_is_left_out_and_it_is_said_what_was_scored(monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK", 1000)
    ids = TOKENIZER.encode(bytes(50_000))
    clock = iter(range(100))
    monkeypatch.setattr(scoring.time, "monotonic", lambda: next(clock))
    score = score_documents(PREDICTOR, [ids], seconds=10)
    assert not score.complete
    assert score.tokens == sum(map(len, score.scored)) < 50_000
    assert score.nats == pytest.approx(by_hand(np.concatenate(score.scored).tolist()), rel=1e-5)


def test_scores_of_several_predictors_are_added_one_by_one():
    total = Score(sizes=np.array([0, 1, 3]))
    total.add(np.array([[[1.0, 2.0], [3.0, 4.0]]]), np.array([[2, 1]]))
    total.add(np.zeros((0, 2)), np.zeros(0, dtype=np.int64))
    total.add(np.array([[10.0, 20.0]]), np.array([2]))
    assert (total.each, total.nats, total.tokens) == ([14.0, 26.0], 26.0, 3)
    nats, units = total.stretches.sums()
    assert (nats.tolist(), units.tolist()) == ([[14, 26]], [7])


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=30), max_size=60))
def test_stretches_follow_the_text_however_documents_are_put_side_by_side(documents):
    ids = [TOKENIZER.encode(document) for document in documents]
    sizes = np.ones(TOKENIZER.vocab_size, dtype=np.int64)
    found, units = score_documents(PREDICTOR, ids, sizes=sizes).stretches.sums()
    one = Score(sizes=sizes)
    for each in ids:
        score_stream(PREDICTOR, [each], one)
    expected, of = one.stretches.sums()
    np.testing.assert_array_equal(units, of)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
