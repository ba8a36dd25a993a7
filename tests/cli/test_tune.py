"""The command `charlm tune`."""

import json
import shlex
import sys

import pytest

pytest.importorskip("optuna")

from charlm.cli.main import main
from charlm.errors import DivergedError
from charlm.training.trainer import Trainer
from tests.pictures import size_of

QUICK = ["--steps", "6", "--hidden", "16", "--batch", "8", "--bptt", "8", "--threads", "1"]


@pytest.fixture
def tune(text_file, tmp_path, monkeypatch, capsys):
    """Run `charlm tune` on the small text; give code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*words, corpus=text_file):
        code = main(["tune", str(corpus), *QUICK, *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_it_ends_with_a_table_a_verdict_and_the_command_to_run(tune, tmp_path, capsys):
    code, out, err = tune("--trials", 5, "--tokenizer", "char", "--plot")
    assert code == 0
    assert "charlm's own plan" in out and "a little flattering" in out
    assert "trial 4: charlm's own plan, with another seed" in err
    [best] = [line for line in out.splitlines() if line.startswith("best ")]
    words = shlex.split(best.removeprefix("best "))
    assert words[:2] == ["charlm", "train"]
    assert main([*words[1:], "--out", "again"]) == 0
    capsys.readouterr()
    assert sorted(p.name for p in (tmp_path / "runs/tune-book").glob("*.png")) == [
        "importances.png",
        "trials.png",
    ]
    size_of((tmp_path / "runs/tune-book/trials.png").read_bytes())


def test_json_is_one_object(tune):
    code, out, _ = tune("--trials", 2, "--json", "--study", "s")
    value = json.loads(out)
    assert code == 0 and out.count("\n") == 1
    assert value["study"] == "s" and value["unit"] == "bits per byte"
    assert value["budget"] == {"steps": 6} and len(value["trials"]) == 2
    assert value["trials"][0]["plan"] is True and value["command"].startswith("charlm train")
    assert value["best"] in (0, 1) and value["trained"] is None


def test_the_same_search_goes_on_and_another_gets_a_number(tune):
    assert tune("--trials", 1)[2].count("trial 0") == 2
    code, _, err = tune("--trials", 2)
    assert code == 0 and "study runs/tune-book\n" in err and "trial 0" not in err
    _, _, other = tune("--trials", 1, "--cell", "gru")
    assert "study runs/tune-book-2\n" in other


def test_options_that_are_given_are_those_of_all_trials(tune):
    code, out, _ = tune("--trials", 4, "--cell", "gru", "--tokenizer", "bpe", "--json")
    options = [trial["options"] for trial in json.loads(out)["trials"]]
    assert code == 0
    assert {(o["cell"], o["tokenizer"], o["hidden"], o["batch"]) for o in options} == {
        ("gru", "bpe", 16, 8)
    }
    assert len({o["lr"] for o in options}) > 1


def test_the_best_is_trained_for_longer(tune, tmp_path):
    code, out, _ = tune("--trials", 2, "--train-best", 0.01, "--out", "best", "--json")
    value = json.loads(out)
    assert code == 0 and value["trained"]["model"] == "best"
    config = json.loads((tmp_path / "best/config.json").read_text())
    assert config["run"]["request"]["minutes"] == 0.01 and config["combination"] is not None
    assert config["run"]["request"]["steps"] is None


def test_g7_a_lack_of_memory_is_the_end_of_a_trial_and_not_of_the_search(tune, monkeypatch):
    usual, steps = Trainer.train_step, iter(range(1000))

    def short(self, batch):
        if next(steps) == 3:
            raise MemoryError
        usual(self, batch)

    monkeypatch.setattr(Trainer, "train_step", short)
    code, out, err = tune("--trials", 2, "--json")
    states = [trial["state"] for trial in json.loads(out)["trials"]]
    assert code == 0 and states == ["pruned", "complete"] and "memory ran out" in err


def test_g7_where_every_trial_diverges_that_is_said(tune, monkeypatch):
    def diverge(self, batch):
        raise DivergedError("training diverged")

    monkeypatch.setattr(Trainer, "train_step", diverge)
    code, out, err = tune("--trials", 2)
    assert code == 0 and "no trial is complete" in out
    assert err.count("training diverged") == 2 and "best  " not in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--minutes", "1"], "cannot be given together"),
        (["--trials", "0"], "--trials must be"),
        (["--out", "x"], "--train-best asks for"),
        (["--study", ""], "--study must name"),
        (["--seed", "-1"], "--seed must be"),
        (["--train-best", "nan"], "must be a number above 0"),
        (["--resume"], "unknown option '--resume'"),
        (["--hidden", "0"], "--hidden must be 1 or more"),
        (["--study", "."], "is no study"),
        (["--mogrifier", "2", "--cell", "gru"], "--mogrifier is for --cell lstm"),
    ],
    ids=str,
)
def test_a_mistake_is_a_sentence(tune, words, told):
    code, out, err = tune(*words)
    assert code == 2 and told in err and not out
    assert len(err.splitlines()) <= 5 and "Traceback" not in err


def test_a_study_of_something_else_is_refused(tune, tmp_path):
    assert tune("--trials", 1, "--study", "s")[0] == 0
    code, _, err = tune("--trials", 1, "--study", "s", "--cell", "gru")
    assert code == 2 and "--cell left open, not gru" in err
    other = tmp_path / "other.txt"
    other.write_text("quite another text\n" * 100)
    code, _, err = tune("--trials", 1, "--study", "s", corpus=other)
    assert code == 2 and "another text" in err


@pytest.mark.parametrize("missing", ["optuna", "matplotlib"])
def test_a_missing_package_is_named_before_any_work(tune, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    code, _, err = tune("--plot")
    extra = {"optuna": "tune", "matplotlib": "plot"}[missing]
    assert code == 2 and f"pip install 'charlm-toolkit[{extra}]'" in err
    assert "prepared" not in err


def test_a_missing_corpus_is_a_sentence(tune):
    code, _, err = tune(corpus="nowhere.txt")
    assert code == 3 and "nowhere.txt" in err
