"""A batch can be cut along its streams and put together again."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from charlm.batches.batch import Batch, Position, epoch_generator


@given(st.integers(1, 40), st.integers(1, 50), st.booleans())
def test_slices_cover_the_streams_in_order(streams, pieces, fresh):
    inputs = np.arange(streams * 4).reshape(streams, 4)
    mask = inputs % 3 > 0
    batch = Batch(inputs, inputs + 1, mask, fresh=fresh, resets=~mask)
    parts = batch.split(pieces)
    for name in ("inputs", "targets", "mask", "resets"):
        together = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(together, getattr(batch, name))
    assert sum(part.num_targets for part in parts) == batch.num_targets == mask.sum()
    assert all(part.fresh == fresh for part in parts)
    sizes = [len(part.inputs) for part in parts]
    assert len(sizes) == min(pieces, streams) and max(sizes) - min(sizes) <= 1


def test_slices_of_a_batch_without_mask_or_resets_have_none():
    inputs = np.zeros((3, 2), dtype=np.int64)
    for part in Batch(inputs, inputs).split(2):
        assert part.mask is None and part.resets is None
        assert part.num_targets == part.inputs.size


def test_an_epochs_random_numbers_depend_on_seed_and_epoch_alone():
    def draw(seed, epoch):
        return epoch_generator(seed, epoch).integers(1 << 60)

    assert draw(1, 2) == draw(1, 2)
    assert len({draw(seed, epoch) for seed in range(4) for epoch in range(4)}) == 16


def test_a_position_is_plain_data():
    assert Position.from_json(Position(3, 128).to_json()) == Position(3, 128)
