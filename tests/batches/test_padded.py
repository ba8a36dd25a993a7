"""Padded batches: every document once an epoch, in an order that seed and epoch decide."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.batches.batch import Position
from charlm.batches.padded import PaddedBatches, pad

lengths = st.lists(st.integers(0, 20), min_size=1, max_size=30).filter(any)


def batches_of(sizes, batch_size=4, window=6, seed=1):
    boundaries = np.concatenate([[0], np.cumsum(sizes)])
    ids = np.arange(boundaries[-1] + 1, dtype=np.uint16)
    return PaddedBatches(ids, boundaries, batch_size=batch_size, window=window, seed=seed)


def epoch_of(padded, number=0):
    """Collect the batches of one epoch."""
    found = []
    for batch, position in padded.batches(Position(number, 0)):
        found.append(batch)
        if position.epoch != number:
            return found
    raise AssertionError


def documents_of(batches):
    """Put the windows of each row together, from one fresh batch to the next."""
    rows = []
    for batch in batches:
        if batch.fresh:
            first = len(rows)
            rows += [[] for _ in batch.inputs]
        real = np.ones(batch.inputs.shape, bool) if batch.mask is None else batch.mask
        for row, inputs, targets, keep in zip(
            rows[first:], batch.inputs, batch.targets, real, strict=True
        ):
            row += list(zip(inputs[keep].tolist(), targets[keep].tolist(), strict=True))
    return rows


@settings(max_examples=60)
@given(lengths, st.integers(0, 2))
def test_every_prediction_is_made_once_an_epoch(sizes, number):
    padded = batches_of(sizes)
    seen = []
    for batch in epoch_of(padded, number):
        real = np.ones(batch.inputs.shape, bool) if batch.mask is None else batch.mask
        assert (batch.targets[real] == batch.inputs[real] + 1).all()
        assert batch.inputs.shape[1] <= 6
        seen += batch.inputs[real].tolist()
    assert sorted(seen) == list(range(sum(sizes)))
    assert padded.num_targets == sum(sizes)


@settings(max_examples=60)
@given(lengths, st.integers(0, 2))
def test_every_document_is_read_once_an_epoch_from_its_beginning_to_its_end(sizes, number):
    ends = np.cumsum(sizes)
    expected = [
        [(place, place + 1) for place in range(end - size, end)]
        for size, end in zip(sizes, ends.tolist(), strict=True)
        if size > 0
    ]
    assert sorted(documents_of(epoch_of(batches_of(sizes), number))) == expected


def test_documents_without_a_prediction_are_refused():
    with pytest.raises(AssertionError):
        batches_of([0, 0])


def test_a_long_document_goes_on_in_the_same_row():
    batches = epoch_of(batches_of([20, 19, 18, 17]))
    assert [batch.fresh for batch in batches] == [True, False, False, False]
    for before, after in itertools.pairwise(batches):
        rows = after.mask[:, 0] if after.mask is not None else slice(None)
        assert (after.inputs[rows, 0] == before.targets[rows, -1]).all()


def test_documents_of_like_length_stand_together():
    generator = np.random.default_rng(0)
    padded = batches_of(generator.integers(1, 60, 400), batch_size=8, window=100)
    batches = epoch_of(padded)
    real = sum(batch.num_targets for batch in batches)
    assert real / sum(batch.inputs.size for batch in batches) > 0.9


def test_the_order_is_decided_by_seed_and_epoch():
    sizes = list(range(1, 40))

    def order(seed, epoch):
        batches = epoch_of(batches_of(sizes, seed=seed), epoch)
        return [batch.inputs[:, 0].tolist() for batch in batches]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1) and order(1, 0) != order(2, 0)


@settings(max_examples=30)
@given(lengths, st.integers(0, 20))
def test_going_on_from_any_position_gives_the_same_batches(sizes, at):
    padded = batches_of(sizes)
    walk = list(itertools.islice(padded.batches(), at + 6))
    position = Position.from_json(walk[at][1].to_json())
    for (batch, after), (expected, expected_after) in zip(
        padded.batches(position), walk[at + 1 :], strict=False
    ):
        assert np.array_equal(batch.inputs, expected.inputs)
        assert np.array_equal(batch.targets, expected.targets)
        assert (batch.mask is None) == (expected.mask is None)
        assert batch.mask is None or np.array_equal(batch.mask, expected.mask)
        assert (batch.fresh, after) == (expected.fresh, expected_after)


def test_after_an_epochs_last_batch_stands_the_next_epoch():
    padded = batches_of([3, 9, 1])
    count = len(epoch_of(padded))
    positions = [position for _, position in itertools.islice(padded.batches(), count)]
    assert positions == [Position(0, n) for n in range(1, count)] + [Position(1, 0)]


@given(st.lists(st.lists(st.integers(0, 99), max_size=8), min_size=1, max_size=6))
def test_what_is_not_padding_is_the_documents(documents):
    batch = pad([np.array(document, dtype=np.uint16) for document in documents])
    mask = np.ones(batch.inputs.shape, bool) if batch.mask is None else batch.mask
    assert batch.inputs.dtype == batch.targets.dtype == np.int64
    for row, document in enumerate(documents):
        assert batch.inputs[row][mask[row]].tolist() == document[:-1]
        assert batch.targets[row][mask[row]].tolist() == document[1:]


def test_padding_is_masked():
    batch = pad([np.array([5, 6, 7]), np.array([8, 9]), np.array([4])])
    assert batch.inputs.tolist() == [[5, 6], [8, 0], [0, 0]]
    assert batch.mask.tolist() == [[True, True], [True, False], [False, False]]
    assert pad([np.array([1, 2]), np.array([3, 4])]).mask is None
