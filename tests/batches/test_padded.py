"""Padded batches: every document once an epoch, in an order that seed and epoch decide."""

import itertools

import numpy as np
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
    found = []
    for batch, position in padded.batches(Position(number, 0)):
        found.append(batch)
        if position.epoch != number:
            return found
    raise AssertionError


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


def test_going_on_from_any_position_gives_the_same_batches():
    padded = batches_of([3, 9, 1, 14, 6, 2, 20, 5])
    walk = list(itertools.islice(padded.batches(), 30))
    for at in range(20):
        again = itertools.islice(padded.batches(walk[at][1]), 5)
        for (batch, _), (expected, _) in zip(again, walk[at + 1 :], strict=False):
            assert np.array_equal(batch.inputs, expected.inputs)
            assert batch.fresh == expected.fresh


def test_padding_is_masked():
    batch = pad([np.array([5, 6, 7]), np.array([8, 9]), np.array([4])])
    assert batch.inputs.tolist() == [[5, 6], [8, 0], [0, 0]]
    assert batch.mask.tolist() == [[True, True], [True, False], [False, False]]
    assert pad([np.array([1, 2]), np.array([3, 4])]).mask is None
