"""Schedules and budgets are pure functions with the right ends."""

import pytest

from charlm.training.budget import Budget
from charlm.training.schedules import SCHEDULES, constant, linear_to_zero

STEPS = [i / 1000 for i in range(1001)]


@pytest.mark.parametrize("schedule", SCHEDULES.values())
def test_a_factor_is_between_zero_and_one(schedule):
    assert all(0 <= schedule(progress, 0.02) <= 1 for progress in STEPS)
    assert max(schedule(progress, 0.02) for progress in STEPS) == pytest.approx(1, abs=1e-6)


def test_linear_rises_then_falls_to_exactly_zero():
    values = [linear_to_zero(progress, 0.1) for progress in STEPS]
    assert values[0] == 0 and values[-1] == 0
    assert values[:100] == sorted(values[:100])
    assert values[101:] == sorted(values[101:], reverse=True)


def test_constant_stays_up():
    assert constant(0.5, 0.1) == constant(1.0, 0.1) == 1.0
    assert constant(0.0, 0.0) == 1.0


def test_linear_without_warmup_starts_at_the_peak():
    assert linear_to_zero(0.0, 0.0) == 1.0


def test_progress_counts_the_budgets_own_unit():
    assert Budget(steps=10).progress(5, 0, 0.0, 0.0) == 0.5
    assert Budget(targets=10).progress(0, 5, 0.0, 0.0) == 0.5
    assert Budget(seconds=10).progress(0, 0, 5.0, 0.0) == 0.5


def test_time_for_the_last_validation_is_kept_free():
    assert Budget(seconds=10).progress(0, 0, 8.0, 2.0) == 1.0


def test_progress_never_passes_one():
    assert Budget(steps=10).progress(50, 0, 0.0, 0.0) == 1.0
