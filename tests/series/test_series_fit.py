"""A series is learned, judged and forecast; interrupted runs end alike, damage is named."""

import json
import shutil

import numpy as np
import pandas
import pytest
import torch

import charlm
from charlm import storage
from charlm.errors import CharlmError, CorpusError, ModelError, UsageError
from charlm.series.directory import SERIES, read_series_model
from charlm.series.fit import fit
from charlm.series.handle import SeriesModel
from charlm.series.request import SeriesRequest
from charlm.series.result import SeriesResult

SMALL = {"hidden": 8, "embed": 4, "steps": 24, "bptt": 16, "threads": 1}


def wave(rows=400, columns=1, seed=0):
    places = np.arange(rows)[:, None]
    noise = np.random.default_rng(seed).normal(size=(rows, columns))
    return np.sin(places / (5 + np.arange(columns))) + 0.1 * noise + 3.0


@pytest.fixture(scope="module")
def frame():
    values = wave(240, 2)
    months = pandas.period_range("1990-01", periods=len(values), freq="M")
    return pandas.DataFrame(values, columns=["a", "b"], index=months)


@pytest.fixture(scope="module")
def model(frame, tmp_path_factory):
    out = tmp_path_factory.mktemp("series") / "run"
    return charlm.series.train(frame, out=str(out), **SMALL)


@pytest.fixture(scope="module")
def of_points(frame, tmp_path_factory):
    out = tmp_path_factory.mktemp("series") / "points"
    return charlm.series.train(frame, out=str(out), head="squared", **SMALL)


@pytest.fixture(scope="module")
def file(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("series") / "two.csv"
    frame.to_csv(path, index_label="month")
    return path


def outcome(directory):
    names = ["model.safetensors", "metrics.jsonl"]
    files = [storage.file_sha256(directory / name) for name in names]
    return [*files, json.loads((directory / "config.json").read_text())["scores"]]


def test_a_trained_model_comes_back_from_its_directory(model):
    again = charlm.series.load(model.directory)
    assert again.evaluate() == model.evaluate()
    first, second = model.forecast(5, seed=3), again.forecast(5, seed=3)
    assert np.array_equal(first.quantiles, second.quantiles)
    assert first.times == ("2010-01", "2010-02", "2010-03", "2010-04", "2010-05")


class Interruption:
    """Asks for an end after some steps."""

    def __init__(self, after):
        self.left = after

    def training(self):
        from contextlib import nullcontext

        return nullcontext()

    def requested(self):
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_run_resumed_is_the_run_uninterrupted_to_the_last_bit(file, tmp_path, cell):
    options = {**SMALL, "cell": cell, "dropout": 0.2, "layers": 2, "save_every": "5"}
    whole = tmp_path / "whole"
    assert fit(str(file), SeriesRequest(out=str(whole), **options)).scores is not None
    for after in (3, 11, 20, 33):
        parts = tmp_path / f"parts{after}"
        request = SeriesRequest(out=str(parts), resume=True, **options)
        first = fit(str(file), request, stop=Interruption(after))
        assert first.scores is None and first.state.stopped_by == "request"
        assert fit(str(file), request).state.stopped_by == "budget"
        assert outcome(parts) == outcome(whole)


def test_resuming_needs_the_file_no_more_but_refuses_another(file, tmp_path):
    path, out = tmp_path / "mine.csv", str(tmp_path / "run")
    shutil.copy(file, path)
    fit(str(path), SeriesRequest(out=out, **SMALL), stop=Interruption(4))
    text = path.read_text()
    path.write_text(text.replace("1995-03,", "1995-03,9"))
    with pytest.raises(CorpusError, match="not the one that this run began with"):
        fit(str(path), SeriesRequest(out=out, resume=True))
    path.unlink()
    assert fit(str(path), SeriesRequest(out=out, resume=True)).state.stopped_by == "budget"


def test_a_finished_run_is_left_as_it_is(model, file):
    before = outcome(model.directory)
    result = fit(str(file), SeriesRequest(out=str(model.directory), resume=True))
    assert isinstance(result, SeriesResult) and outcome(model.directory) == before


def test_runs_of_text_and_of_numbers_are_not_taken_for_each_other(model, text_file, tmp_path):
    with pytest.raises(ModelError):
        charlm.load(model.directory)
    with pytest.raises(CharlmError):
        charlm.train(text_file, out=str(model.directory), resume=True, steps=30)
    text_run = tmp_path / "text"
    charlm.train(text_file, out=str(text_run), steps=2, hidden=8, embed=4, threads=1)
    with pytest.raises(ModelError, match="not a model of a series"):
        charlm.series.load(text_run)
    with pytest.raises(CharlmError):
        charlm.series.train(wave(), out=str(text_run), resume=True, **SMALL)


def test_nothing_learned_knows_of_the_rows_kept_back(model, frame, tmp_path):
    first = model.config["parts"]["valid"]
    changed = frame.copy()
    changed.iloc[first:] = changed.iloc[first:] * 3 + 50
    other = charlm.series.train(changed, out=str(tmp_path / "run"), **SMALL)
    for name in ("scaling", "season", "network", "parts", "horizon"):
        assert other.config[name] == model.config[name]
    assert outcome(other.directory)[:2] == outcome(model.directory)[:2]


def test_no_value_predicted_depends_on_a_later_one(model, frame):
    def outputs(table):
        rows = model._features.rows(table, model._roller.scaling)
        return model._roller.read(rows, table.filled(), np.array([len(table) - 1]))[0]

    end, changed = 200, frame.copy()
    changed.iloc[end:] += 50.0
    first, second = outputs(model.read(frame)), outputs(model.read(changed))
    assert np.array_equal(first[:end], second[:end])
    assert not np.array_equal(first[end:], second[end:])


def test_a_forecast_is_what_reading_its_own_guesses_gives(of_points, frame):
    model = of_points
    horizon, values = 4, frame.copy()
    found = model.forecast(horizon)
    for step in range(horizon):
        one = model.forecast(1, data=values)
        assert np.allclose(one.points[0], found.points[step], rtol=1e-4)
        index = pandas.period_range(values.index[-1] + 1, periods=1, freq="M")
        values = pandas.concat([values, pandas.DataFrame(one.points, index, values.columns)])


def test_scores_one_step_ahead_are_those_of_forecasts_of_one_row(of_points, frame):
    model = of_points
    first = model.config["parts"]["valid"]
    errors = [
        model.forecast(1, data=frame.iloc[:end]).points[0] - frame.iloc[end].to_numpy()
        for end in range(first, len(frame))
    ]
    rmse = np.sqrt(np.mean(np.square(errors), axis=0)).mean()
    assert model.evaluate().network.rmse == pytest.approx(rmse, rel=1e-4)


def test_the_point_of_a_distribution_lies_in_its_band_and_ways_agree_with_it(model):
    found = model.forecast(6, samples=1_000, levels=(0.1, 0.5, 0.9))
    low, middle, high = np.moveaxis(found.quantiles, -1, 0)
    assert (low < found.points).all() and (found.points < high).all()
    assert np.allclose(middle, found.points)
    below = (found.samples < low).mean(axis=0)
    assert np.allclose(below, 0.1, atol=0.002)
    other = model.forecast(1, seed=2).points
    assert np.allclose(other, found.points[:1], rtol=2e-3)  # drawn evenly


def test_missing_values_are_neither_learned_nor_judged(tmp_path):
    values = wave(300)
    values[::7] = np.nan
    model = charlm.series.train(values, out=str(tmp_path / "run"), **SMALL)
    scores = model.evaluate()
    judged = values[1:][model.config["parts"]["valid"] :]  # the first row holds nothing
    assert scores.rows == np.isfinite(judged).sum()
    assert np.isfinite(scores.network.mase)


def test_more_of_a_series_is_judged_only_where_it_was_not_learned_from(model, frame):
    more = pandas.DataFrame(
        wave(260, 2), columns=["a", "b"],
        index=pandas.period_range("1990-01", periods=260, freq="M"),
    )  # fmt: skip
    later = more.iloc[model.config["parts"]["valid"] :]
    whole, part = model.evaluate(more), model.evaluate(later)
    assert whole == part and whole.rows == len(later)
    new = more.iloc[len(frame) :]  # what is known before them is the model's own series
    scores = model.evaluate(new)
    moves = np.abs(np.diff(more.iloc[len(frame) - 1 :].to_numpy(), axis=0))
    assert scores.rows == len(new)
    assert scores.naive["persistence"].mae == pytest.approx(moves.mean())


@pytest.mark.parametrize("head", ["squared", "absolute", "gaussian", "quantiles"])
def test_every_head_learns_to_do_better_than_at_first(head, tmp_path):
    options = {**SMALL, "steps": 150, "head": head}
    model = charlm.series.train(wave(600), out=str(tmp_path / "run"), **options)
    lines = (model.directory / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line).get("validation_nats") for line in lines]
    losses = [loss for loss in losses if loss is not None]
    assert min(losses[-3:]) < losses[0]
    scores = model.evaluate()
    assert (scores.crps is None) == (head in ("squared", "absolute"))


def test_a_random_walk_is_not_said_to_be_beaten(tmp_path):
    walk = np.random.default_rng(7).normal(size=1_000).cumsum()
    scores = charlm.series.train(walk, out=str(tmp_path / "run"), threads=1, hidden=8).evaluate()
    assert scores.verdicts["persistence"] != "better"
    assert scores.network.mae >= 0.97 * scores.naive["persistence"].mae


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": "x"}, r"^test must"),
        ({"test": "120%"}, r"^test must"),
        ({"test": -3}, r"^test must"),
        ({"valid": "-3"}, r"^valid must"),
        ({"hidden": 0}, r"^hidden must"),
        ({"steps": 5, "minutes": 1}, "cannot be given together"),
        ({"dropout": 1.0}, r"^dropout must"),
        ({"horizons": 3}, "unknown option 'horizons'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        charlm.series.train(wave(), **options)


def test_too_little_to_learn_from_is_said(tmp_path):
    with pytest.raises(CorpusError, match="rows are left to learn from"):
        charlm.series.train(wave(30), test=20, out=str(tmp_path / "run"))


def test_a_model_of_points_has_no_samples_and_no_band(tmp_path):
    model = charlm.series.train(wave(), out=str(tmp_path / "run"), head="squared", **SMALL)
    found = model.forecast(3)
    assert found.levels == () and "time,value\n" in found.to_csv()
    for options in ({"samples": 2}, {"levels": (0.1, 0.9)}):
        with pytest.raises(UsageError, match="predicts points"):
            model.forecast(3, **options)


@pytest.mark.parametrize("name", ["model.safetensors", SERIES, "config.json"])
def test_a_damaged_model_is_refused_by_name(model, tmp_path, name):
    copy = tmp_path / "copy"
    shutil.copytree(model.directory, copy)
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match=name):
        charlm.series.load(copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scaling", {"kind": "magic", "shift": [0.0, 0.0], "scale": [1.0, 1.0]}),
        ("scaling", {"kind": "standard", "shift": [0.0], "scale": [1.0]}),
        ("season", 0),
        ("parts", {"train": 5, "valid": 2, "total": 240}),
        ("network", None),
        ("charlm_format", 99),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(model, tmp_path, key, value):
    copy = tmp_path / "copy"
    shutil.copytree(model.directory, copy)
    config = json.loads((copy / "config.json").read_text()) | {key: value}
    with storage.existing_directory(copy) as writer:
        for name in ("model.safetensors", SERIES, "README.md"):
            writer.write_bytes(name, (model.directory / name).read_bytes())
        writer.write_json("config.json", config)
    with pytest.raises(ModelError):
        read_series_model(copy)


def test_a_run_on_a_gpu_or_a_cpu_is_asked_for_by_name(model):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UsageError):
        charlm.series.load(model.directory, device="cuda")
    assert isinstance(model, SeriesModel)


def test_a_run_on_numbers_is_drawn_by_its_own_loss(model, tmp_path):
    from charlm.evaluation.runs import plot_runs

    [summary] = plot_runs([model.directory], tmp_path / "run.png")
    assert summary.training_bits_per_token is None and summary.held_out_bits_per_token is None
    lines = map(json.loads, (model.directory / "metrics.jsonl").read_text().splitlines())
    losses = [line["validation_nats"] for line in lines if "validation_nats" in line]
    assert summary.held_out_loss == min(losses)


@pytest.mark.parametrize("columns", [1, 3])
def test_an_epoch_is_a_pass_however_many_columns_there_are(tmp_path, columns):
    options = {"epochs": 4, "hidden": 4, "embed": 2, "threads": 1, "batch": 2, "bptt": 50}
    model = charlm.series.train(wave(1_000, columns), out=str(tmp_path / "run"), **options)
    learned = model.config["run"]["targets"] / (columns * model.config["parts"]["train"])
    assert 3.9 < learned < 4.2


def test_a_column_that_is_empty_where_it_is_judged_is_told_as_unknown(tmp_path):
    values = wave(400, 2)
    values[300:, 1] = np.nan
    model = charlm.series.train(values, out=str(tmp_path / "run"), **SMALL)
    told = model.evaluate().to_json()
    assert told["by_column"]["column2"]["rmse"] is None and told["rmse"] > 0
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(
    ("column", "message"),
    [(np.r_[np.full(300, 2.0), np.arange(100.0)], "constant"),
     (np.r_[np.full(300, np.nan), np.arange(100.0)], "no value")],
)  # fmt: skip
def test_a_column_that_cannot_be_learned_is_named(tmp_path, column, message):
    values = np.column_stack([wave(400)[:, 0], column])
    with pytest.raises(CorpusError, match=f"column 'column2' .*{message}"):
        charlm.series.train(values, out=str(tmp_path / "run"), **SMALL)


def test_rows_fewer_than_a_season_can_be_gone_on_from_but_not_judged(model, frame):
    few = frame.iloc[:16].reset_index(drop=True)  # without times: another series
    assert model.forecast(3, data=few).points.shape == (3, 2)
    assert model.evaluate(few).rows == 4


def test_a_horizon_or_samples_beyond_memory_are_refused(model):
    with pytest.raises(UsageError, match=r"^horizon"):
        model.forecast(10**6)
    with pytest.raises(UsageError, match="too many"):
        model.forecast(10**5)


def test_values_without_logarithm_are_named_at_eval_too(tmp_path):
    growth = np.exp(np.arange(300) / 50) + 0.1 * wave(300)[:, 0]
    model = charlm.series.train(growth, scaling="log-difference", out=str(tmp_path / "r"), **SMALL)
    growth[250] = 0.0
    with pytest.raises(CorpusError, match="row 251"):
        model.evaluate(growth)
