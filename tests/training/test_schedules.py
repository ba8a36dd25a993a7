"""Schedules and budgets are pure functions with the right ends."""

import math

import pytest

from charlm.errors import UsageError
from charlm.training.budget import Budget
from charlm.training.loop import LoopOptions
from charlm.training.schedules import SCHEDULES, constant, in_steps, linear_to_zero

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


def test_in_steps_the_rate_falls_with_every_epoch_after_the_sixth():
    steps = {"warmup": 0.0, "first": 6 / 39, "every": 1 / 39, "factor": 1 / 1.2}
    for epoch in range(39):  # at its first step, and in its middle
        expected = 1.2 ** -max(0, epoch - 5)
        for progress in (epoch / 39, (epoch + 0.5) / 39):
            assert in_steps(progress, **steps) == pytest.approx(expected)


def test_in_steps_the_rate_stays_until_it_falls():
    values = [in_steps(progress) for progress in (0.02, 0.3, 0.5999, 0.6, 0.7, 0.8, 0.999)]
    assert values == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01])
    assert in_steps(0.5, first=0.0, every=1e-6) == 0.0, "so small that it is nothing"


def test_the_loop_has_the_schedule_of_its_options():
    for schedule in SCHEDULES:
        options = LoopOptions(schedule=schedule, warmup=0.1)
        values = [options.rate_factor(progress) for progress in STEPS]
        assert values == [SCHEDULES[schedule](progress, 0.1) for progress in STEPS]
    options = LoopOptions(
        schedule="step", lr_step_from=0.5, lr_step_every=0.25, lr_step_factor=0.5, warmup=0
    )
    assert [options.rate_factor(progress) for progress in (0.4, 0.5, 0.75)] == [1, 0.5, 0.25]


@pytest.mark.parametrize(
    "values",
    [
        {"lr_step_from": -0.1},
        {"lr_step_every": 0.0},
        {"lr_step_factor": 0.0},
        {"lr_step_factor": 1.1},
        {"lr_step_every": math.nan},
    ],
)
def test_steps_that_cannot_be_are_refused(values):
    with pytest.raises(UsageError, match=r"^lr_step"):
        LoopOptions(**values)


def test_progress_counts_the_budgets_own_unit():
    assert Budget(steps=10).progress(5, 0, 0.0, 0.0) == 0.5
    assert Budget(targets=10).progress(0, 5, 0.0, 0.0) == 0.5
    assert Budget(seconds=10).progress(0, 0, 5.0, 0.0) == 0.5


def test_time_for_the_last_validation_is_kept_free():
    assert Budget(seconds=10).progress(0, 0, 8.0, 2.0) == 1.0


def test_progress_never_passes_one():
    assert Budget(steps=10).progress(50, 0, 0.0, 0.0) == 1.0
