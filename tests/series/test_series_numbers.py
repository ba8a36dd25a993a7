"""Scaling, seasons, features, heads and naive forecasts keep their laws."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from charlm.errors import CorpusError
from charlm.series.clock import DAY, HOUR, MINUTE, Step
from charlm.series.crps import LEVELS, crps
from charlm.series.features import Features
from charlm.series.heads import HEADS, probit
from charlm.series.heads import LEVELS as HEAD_LEVELS
from charlm.series.naive import NAIVE
from charlm.series.scaling import (
    KINDS,
    KPSS_CRITICAL,
    check_scalable,
    choose_kind,
    fit_scaling,
    kpss,
)
from charlm.series.season import repetition
from charlm.series.table import Table, forward_filled
from charlm.series.verdict import compare


def positive(rows=60, columns=2, seed=0):
    return np.exp(np.random.default_rng(seed).normal(size=(rows, columns)).cumsum(axis=0) / 10)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_scaled_comes_back(kind):
    values = positive()
    scaling = fit_scaling(kind, values[:40], ("a", "b"))
    scaled = scaling.encode(values)
    back = scaling.decode(scaled[1:], values[:-1])
    assert np.allclose(back, values[1:], rtol=1e-9)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "none"])
def test_scaling_knows_nothing_of_what_comes_later(kind):
    values = positive()
    later = values.copy()
    later[40:] *= 7.0
    first, second = (fit_scaling(kind, each[:40], ("a", "b")) for each in (values, later))
    assert first == second
    assert np.array_equal(first.encode(values)[:40], second.encode(later)[:40])


def test_logarithms_of_nothing_are_refused_with_column_and_row():
    values = positive()
    values[3, 1] = 0.0
    with pytest.raises(CorpusError, match="column 'b', row 4"):
        check_scalable("log-difference", Table(("a", "b"), values))


def test_a_column_without_spread_in_its_middle_can_be_scaled_robustly():
    values = np.zeros((50, 1))
    values[::10] = 5.0
    assert np.isfinite(fit_scaling("robust", values, ("a",)).encode(values)).all()


def test_walks_are_told_from_what_returns():
    steps = np.random.default_rng(1).normal(size=4_000)
    wave = np.sin(np.arange(4_000) / 20)
    assert kpss(steps) < KPSS_CRITICAL < kpss(steps.cumsum())
    assert choose_kind(wave[:, None]) == "standard"
    assert choose_kind(steps.cumsum()[:, None]) == "difference"
    assert choose_kind(np.exp(steps.cumsum() / 50)[:, None]) == "log-difference"


@pytest.mark.parametrize("period", [7, 12, 126])
def test_a_repetition_is_found_also_on_a_trend(period):
    places = np.arange(20 * period)
    noise = np.random.default_rng(0).normal(size=len(places))
    column = np.sin(2 * np.pi * places / period) + 0.01 * places + 0.2 * noise
    assert abs(repetition(column) - period) <= 1


def test_noise_repeats_nothing():
    assert repetition(np.random.default_rng(0).normal(size=500)) == 1


@pytest.mark.parametrize(
    ("step", "season"),
    [
        (Step(months=1), 12),
        (Step(months=3), 4),
        (Step(months=12), None),
        (Step(microseconds=DAY), 7),
        (Step(microseconds=7 * DAY), 52),
        (Step(microseconds=HOUR), 24),
        (Step(microseconds=15 * MINUTE), 96),
        (Step(microseconds=MINUTE), 60),
        (Step(working_day=True), 5),
        (Step(microseconds=11 * DAY), None),
    ],
)
def test_the_calendar_says_the_season(step, season):
    assert step.season == season


@given(some.lists(some.sampled_from([np.nan, 1.0, 2.0, 3.0]), min_size=1, max_size=20))
def test_filling_looks_at_nothing_later(words):
    values = np.array(words)[:, None]
    filled = forward_filled(values)
    for end in range(1, len(values) + 1):
        if np.isfinite(values[:end]).any():
            first = int(np.isfinite(values[:end, 0]).argmax())
            assert np.array_equal(forward_filled(values[:end])[first:], filled[first:end])


def test_rows_hold_values_marks_and_the_season_before_the_next():
    values = np.arange(10.0)[:, None]
    values[4] = np.nan
    features = Features(columns=1, gaps=True, lag=3)
    scaling = fit_scaling("none", np.arange(10.0)[:, None], ("a",))
    rows = features.rows(Table(("a",), values), scaling)
    assert rows[:, 0].tolist() == [0, 1, 2, 3, 3, 5, 6, 7, 8, 9]
    assert rows[:, 1].tolist() == [1, 1, 1, 1, 0, 1, 1, 1, 1, 1]
    assert rows[5, 2] == 3  # what stood three rows before row 6
    assert features.input_size == len(features.chosen()) == 3


@pytest.mark.parametrize("name", ["gaussian", "quantiles"])
def test_quantiles_never_cross_and_the_point_is_the_median(name):
    outputs = np.random.default_rng(0).normal(size=(50, 2, HEADS[name].outputs)) * 5
    grid = np.stack(
        [HEADS[name].quantiles(outputs, np.array(u)) for u in np.linspace(0.001, 0.999, 40)]
    )
    assert (np.diff(grid, axis=0) >= 0).all()
    middle = HEADS[name].quantiles(outputs, np.array(0.5))
    assert np.allclose(middle, HEADS[name].point(outputs))


def test_the_quantile_head_gives_its_own_levels_exactly():
    outputs = np.random.default_rng(0).normal(size=(4, 1, len(HEAD_LEVELS)))
    known = HEADS["quantiles"].known(torch.from_numpy(outputs)).numpy()
    for place, level in enumerate(HEAD_LEVELS):
        found = HEADS["quantiles"].quantiles(outputs, np.array(level))
        assert np.allclose(found, known[..., place])


@pytest.mark.parametrize("name", ["gaussian", "quantiles"])
def test_a_head_learns_the_distribution_that_it_is_shown(name):
    generator = torch.Generator().manual_seed(0)
    targets = 3 + 2 * torch.randn(4_000, 1, generator=generator)
    numbers = torch.tensor(HEADS[name].first_biases(), requires_grad=True)
    optimizer = torch.optim.Adam([numbers], lr=0.1)
    for _ in range(600):
        optimizer.zero_grad()
        HEADS[name].loss(numbers.expand(len(targets), 1, -1), targets).mean().backward()
        optimizer.step()
    outputs = numbers.detach().double().numpy()[None, None]
    for level in (0.1, 0.5, 0.9):
        found = HEADS[name].quantiles(outputs, np.array(level)).item()
        assert abs(found - (3 + 2 * probit(np.array(level)))) < 0.25


def test_the_normal_heads_loss_is_that_of_the_density():
    outputs, targets = torch.randn(5, 2, 2), torch.randn(5, 2)
    scale = torch.nn.functional.softplus(outputs[..., 1]) + 1e-4
    expected = -torch.distributions.Normal(outputs[..., 0], scale).log_prob(targets)
    assert torch.allclose(HEADS["gaussian"].loss(outputs, targets), expected, atol=1e-5)


def test_crps_of_a_normal_distribution_is_the_known_one():
    truth = np.linspace(-2, 2, 9)
    quantiles = np.broadcast_to(probit(LEVELS), (9, len(LEVELS)))
    density = np.exp(-(truth**2) / 2) / np.sqrt(2 * np.pi)
    below = torch.special.ndtr(torch.from_numpy(truth)).numpy()
    known = truth * (2 * below - 1) + 2 * density - 1 / np.sqrt(np.pi)  # Gneiting & Raftery, 20
    assert np.allclose(crps(quantiles, truth), known, atol=5e-3)


def test_naive_forecasts_are_what_the_textbook_says():
    filled = np.array([[1.0], [2.0], [4.0], [3.0], [5.0], [9.0]])
    origins = np.array([3, 4])
    zero = np.array([0])
    assert NAIVE["persistence"](filled, origins, 2, 1, zero)[..., 0].tolist() == [[3, 3], [5, 5]]
    seasonal = NAIVE["seasonal_naive"](filled, origins, 3, 2, zero)[..., 0]
    assert seasonal.tolist() == [[4, 3, 4], [3, 5, 3]]
    drift = NAIVE["drift"](filled, origins, 2, 1, zero)[..., 0]
    assert np.allclose(drift, [[3 + 2 / 3, 3 + 4 / 3], [6, 7]])
    late = np.maximum(np.arange(100.0), 90)[:, None]  # known from row 90 on
    assert NAIVE["drift"](late, np.array([99]), 1, 1, np.array([90])).item() == 100.0


def test_a_verdict_is_wrong_by_chance_as_seldom_as_it_says():
    generator = np.random.default_rng(0)
    for count in (8, 12, 24, 200):
        wrong = 0
        for _ in range(1_000):
            mine, theirs = np.abs(generator.normal(size=(2, count, 1)))
            wrong += compare(mine, theirs, np.ones(1)) != "even"
        assert wrong < 75  # 5 % of them, and what chance adds


@pytest.mark.parametrize("name", NAIVE)
def test_naive_forecasts_know_nothing_of_what_comes(name):
    filled = positive(30, 1)
    changed = filled.copy()
    changed[20:] += 100.0
    origins = np.array([10, 19])
    first, second = (NAIVE[name](each, origins, 5, 4, np.array([0])) for each in (filled, changed))
    assert np.array_equal(first, second)
