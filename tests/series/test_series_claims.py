"""What series models must show: the wave in closed loop, naive forecasts beaten, true bands."""

import numpy as np
import pytest

import charlm

NOISE = 0.05


@pytest.fixture
def learned(tmp_path):
    """Train on a series with what users get."""
    return lambda data, **options: charlm.series.train(
        data, out=str(tmp_path / "run"), **{"threads": 1} | options
    )


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_thousand_steps_of_the_wave_stay_close_to_it(learned, cell):
    scores = learned("sine", cell=cell).evaluate()
    assert scores.horizon == 1_000
    assert scores.network.closed_loop_rmse < 0.05


@pytest.mark.parametrize(("cell", "times"), [("lstm", 1.1), ("gru", 1.2)])
def test_with_noise_the_closed_loop_is_as_far_off_as_the_noise(learned, cell, times):
    scores = learned("sine", noise=NOISE, cell=cell).evaluate()
    assert scores.network.closed_loop_rmse < times * NOISE


@pytest.mark.parametrize("noise", [pytest.param(0.0, marks=pytest.mark.slow), NOISE])
def test_a_plain_rnn_sees_the_next_row_and_stays_by_the_wave(learned, noise):
    """How near it stays for a thousand rows hangs on the processor: see docs/benchmarks.md."""
    scores = learned("sine", noise=noise, cell="rnn").evaluate()
    assert scores.network.rmse < max(0.005, 1.1 * noise)
    assert scores.network.closed_loop_rmse < 0.5 * scores.naive["persistence"].closed_loop_rmse


def test_airline_passengers_are_foretold_better_than_by_last_year(learned, shared_data):
    scores = learned(shared_data / "series" / "airline-passengers.csv", test="24").evaluate()
    assert scores.season == 12
    assert scores.network.mase < scores.naive["seasonal_naive"].mase


def test_sunspots_are_foretold_better_than_by_the_season_and_the_band_holds(learned, shared_data):
    scores = learned(shared_data / "series" / "monthly-sunspots.csv", test="20%").evaluate()
    assert scores.network.mase < scores.naive["seasonal_naive"].mase
    assert 0.75 <= scores.coverage <= 0.85


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_walk_is_not_said_to_be_foretold(learned, seed):
    steps = np.random.default_rng(seed).normal(0, 0.01, 1_000)
    price = 100 * np.exp(steps.cumsum())
    assert learned(price, steps=200).evaluate().verdicts["persistence"] != "better"
