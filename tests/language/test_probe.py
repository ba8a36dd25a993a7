"""The probe counts operations by hand and seconds by the clock."""

import itertools

import pytest
import torch

from charlm.language.probe import Machine, flops_reached, measure

CPU = torch.device("cpu")


def test_operations_are_counted_by_the_second():
    ticks = itertools.count()  # a second passes between two looks at the clock
    # 64 x 16 predictions, 4 gates of 256 units, each of 256 inputs and 256 states, six times
    count = 6 * 64 * 16 * 4 * 256 * (256 + 256)
    assert flops_reached(CPU, False, lambda: float(next(ticks))) == pytest.approx(count)


def test_it_measures_this_machine():
    machine = measure(CPU, bf16=False)
    assert machine.measured and machine.threads == torch.get_num_threads()
    assert 1e8 < machine.flops < 1e14


def test_what_is_assumed_grows_with_threads():
    assert Machine.assumed(4, False).flops == 2 * Machine.assumed(2, False).flops
    assert Machine.assumed(2, True).flops > Machine.assumed(2, False).flops
    assert not Machine.assumed(2, True).measured
