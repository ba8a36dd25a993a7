"""Trials of series models: comparable whatever their scaling, blind to the rows kept back."""

import json
import shlex

import numpy as np
import pytest

pytest.importorskip("optuna")

import charlm
from charlm.cli.main import main
from charlm.errors import CorpusError, UsageError
from charlm.runs.dialogue import NeverStop
from charlm.series.request import SeriesRequest
from charlm.series.source import read_source
from charlm.tuning.series import SeriesObjective
from charlm.tuning.space import defaults

QUICK = ["--steps", "8", "--hidden", "8", "--embed", "4", "--threads", "1"]
SMALL = {"steps": 8, "hidden": 8, "embed": 4, "threads": 1}


def wave(rows=30):
    noise = np.random.default_rng(0).normal(size=rows)
    return np.sin(np.arange(rows) / 3) + 0.1 * noise + 3.0


def objective_of(values, *fixed, **options):
    request = SeriesRequest(**(SMALL | options))
    return SeriesObjective("array", request, read_source("array", request, values), fixed)


@pytest.fixture
def tune(tmp_path, monkeypatch, capsys):
    """Run `charlm series tune` on a small wave; give code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    np.savetxt("wave.csv", wave(), header="y", comments="")

    def run(*words, series="wave.csv"):
        code = main(["series", "tune", series, *QUICK, *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def trained(objective, directory, **values):
    options = objective.options(defaults(objective.space()) | values, 0)
    return objective.train(options, directory, lambda share, score: None, NeverStop(), None)


@pytest.mark.parametrize("head", ["quantiles", "gaussian", "absolute", "squared"])
def test_what_is_kept_back_changes_no_score(tmp_path, head):
    one, other = wave(), wave()
    other[-6:] = 50.0
    scores = [
        trained(objective_of(values, head=head), tmp_path / str(k)).score
        for k, values in enumerate((one, other))
    ]
    assert scores[0] == scores[1] > 0


def test_a_score_has_no_unit_of_the_series(tmp_path):
    values = wave()
    scores = [
        trained(objective_of(scale * values), tmp_path / str(scale), scaling="standard").score
        for scale in (1.0, 64.0)
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-4)


def test_a_score_is_the_mean_of_its_rows_and_that_of_the_model_kept(tmp_path):
    values = wave()
    outcome = trained(objective_of(values, head="absolute"), tmp_path / "t")
    assert sum(outcome.costs) / sum(outcome.units) == pytest.approx(outcome.score)
    outcome.keep()
    model = charlm.series.load(tmp_path / "t")
    parts = model.config["parts"]
    ahead = [
        model.forecast(1, data=values[:row]).points[0, 0]
        for row in range(parts["train"], parts["valid"])
    ]
    errors = np.abs(np.array(ahead) - values[parts["train"] : parts["valid"]])
    season, learned = model.config["season"], values[: parts["train"]]
    scale = np.abs(learned[season:] - learned[:-season]).mean()
    assert outcome.score == pytest.approx(errors.mean() / scale, rel=1e-4)


def test_where_nothing_is_changed_a_trial_is_charlms_own_plan():
    objective = objective_of(wave())
    options, plan = objective.options(defaults(objective.space()), 0), objective.plan
    assert options["scaling"] == plan.scaling.kind and options["bptt"] == plan.bptt
    assert options["lr"] == plan.optimizer.learning_rate and options["hidden"] == 8
    assert objective.told(defaults(objective.space())) == "charlm's own plan"
    assert objective.options(defaults(objective.space()), 1)["seed"] == 2


def test_growth_is_offered_only_of_what_is_above_0():
    def scalings(values):
        [found] = [each for each in objective_of(values).space() if each.name == "scaling"]
        return found.values

    assert "log-difference" in scalings(wave()) and "log-difference" not in scalings(wave() - 3)


def test_it_ends_with_a_table_a_verdict_and_the_command_to_run(tune, capsys):
    code, out, err = tune("--trials", 5)
    assert code == 0 and "charlm's own plan" in out and "rows to steer by" in out
    assert "trial 4: charlm's own plan, with another seed" in err
    [best] = [line for line in out.splitlines() if line.startswith("best ")]
    words = shlex.split(best.removeprefix("best "))
    assert words[:3] == ["charlm", "series", "train"]
    assert main([*words[1:], "--out", "again"]) == 0
    capsys.readouterr()


def test_a_study_goes_on_also_without_its_file_and_refuses_another_series(tune, tmp_path):
    assert tune("--trials", 1, "--study", "s")[0] == 0
    np.savetxt("other.csv", wave() + 1, header="y", comments="")
    code, _, err = tune("--trials", 2, "--study", "s", series="other.csv")
    assert code == 2 and "another series" in err
    code, _, err = tune("--trials", 2, "--study", "s", "--cell", "gru")
    assert code == 2 and "--cell" in err
    (tmp_path / "wave.csv").unlink()
    code, out, err = tune("--trials", 2, "--study", "s", "--json")
    assert code == 0 and "trial 0" not in err and len(json.loads(out)["trials"]) == 2


def test_options_that_are_given_are_those_of_all_trials(tune):
    code, out, _ = tune("--trials", 3, "--cell", "gru", "--scaling", "robust", "--json")
    options = [trial["options"] for trial in json.loads(out)["trials"]]
    assert code == 0
    assert {(o["cell"], o["scaling"], o["hidden"]) for o in options} == {("gru", "robust", 8)}


def test_the_best_is_trained_once_more_and_judged(tune):
    code, out, _ = tune("--trials", 1, "--train-best", "--out", "best", "--json")
    value = json.loads(out)
    assert code == 0 and value["trained"]["model"] == "best"
    assert value["trained"]["scores"]["rows"] == 6 and value["budget"] == {"steps": 8}


def test_what_cannot_be_tuned_is_refused():
    with pytest.raises(CorpusError, match="to steer by"):
        objective_of(wave(), valid="0")
    with pytest.raises(UsageError, match="unknown option 'trails'"):
        charlm.tune_series(wave(), trails=3)


def test_tune_series_takes_arrays(tmp_path):
    report = charlm.tune_series(wave(), trials=2, study=str(tmp_path / "s"), **SMALL)
    assert [trial.state for trial in report.trials] == ["complete"] * 2
    assert report.command.startswith("charlm.series.train(data, ")
