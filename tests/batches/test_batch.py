"""A batch can be cut along its streams and put together again."""

import numpy as np
import pytest

from charlm.batches.batch import Batch, Position


@pytest.mark.parametrize("pieces", [1, 2, 3, 5, 9])
def test_slices_cover_the_streams_in_order(pieces):
    inputs = np.arange(20).reshape(5, 4)
    mask = inputs % 3 > 0
    batch = Batch(inputs, inputs + 1, mask, fresh=True, resets=~mask)
    parts = batch.split(pieces)
    assert len(parts) == min(pieces, 5)
    assert np.array_equal(np.concatenate([part.inputs for part in parts]), inputs)
    assert np.array_equal(np.concatenate([part.mask for part in parts]), mask)
    assert np.array_equal(np.concatenate([part.resets for part in parts]), ~mask)
    assert sum(part.num_targets for part in parts) == batch.num_targets == mask.sum()
    assert all(part.fresh for part in parts)


def test_a_position_is_plain_data():
    assert Position.from_json(Position(3, 128).to_json()) == Position(3, 128)
