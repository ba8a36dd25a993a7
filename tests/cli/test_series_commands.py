"""The commands for series: clean output, exit codes, and one sentence for each mistake."""

import csv
import io
import json

import pytest

from charlm.cli.main import main
from tests.pictures import size_of

SMALL = ["--hidden", "8", "--embed", "4", "--steps", "20", "--threads", "1"]


@pytest.fixture(scope="module")
def sales(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "sales.csv"
    rows = [f"{1990 + n // 12}-{n % 12 + 1:02d},{100 + n % 12 + n / 10}" for n in range(96)]
    path.write_text("month,sales\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def model(sales, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("models") / "run")
    assert main(["series", "train", str(sales), "--out", out, *SMALL]) == 0
    return out


@pytest.fixture
def say(capsys):
    def run(*words):
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


def test_training_prints_the_network_beside_what_needs_no_learning(say, sales, tmp_path):
    code, out, err = say("series", "train", sales, "--out", tmp_path / "run", *SMALL)
    assert code == 0
    for word in ("network", "persistence", "seasonal naive", "drift", "MASE", "forecast"):
        assert word in out
    assert "times are in column 'month'" in err


def test_eval_gives_the_keys_that_scripts_rely_on(say, model):
    code, out, _ = say("series", "eval", model, "--json")
    found = json.loads(out)
    assert code == 0
    for name in ("rmse", "mae", "mase", "closed_loop_rmse", "crps", "coverage"):
        assert found[name] >= 0
    for name in ("persistence", "seasonal_naive", "drift"):
        assert found[name]["rmse"] > 0 and found[name]["closed_loop_mase"] > 0


def test_a_forecast_is_csv_with_a_band_and_samples(say, model):
    code, out, _ = say("series", "forecast", model, "--horizon", "3", "--samples", "2")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and [row["time"] for row in rows] == ["1998-01", "1998-02", "1998-03"]
    for row in rows:
        assert float(row["sales 10%"]) <= float(row["sales 90%"])
        assert {"sales", "sales sample 1", "sales sample 2"} <= row.keys()


def test_a_forecast_is_json_too_and_seeds_repeat_it(say, model):
    words = ["series", "forecast", model, "--horizon", "2", "--json", "--seed"]
    first, second, third = (say(*words, seed)[1] for seed in (1, 1, 2))
    assert first == second != third
    assert len(json.loads(first)["columns"]["sales"]["point"]) == 2


def test_a_forecast_is_drawn(say, model, tmp_path):
    code, _, _ = say("series", "forecast", model, "--plot", tmp_path / "f.png")
    assert code == 0 and min(size_of((tmp_path / "f.png").read_bytes())[0]) > 300


def test_the_classic_wave_needs_no_file(say, tmp_path):
    code, out, _ = say("series", "train", "sine", "--out", tmp_path / "run", "--json", *SMALL)
    found = json.loads(out)["scores"]
    assert code == 0 and found["horizon"] == found["rows"] == 1_000


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["series"], 0, ""),
        (["series", "trian"], 2, "did you mean 'train'?"),
        (["series", "train"], 2, "SERIES"),
        (["series", "train", "none.csv"], 3, "there is no file none.csv"),
        (["series", "train", "sine", "--cel", "gru"], 2, "did you mean '--cell'?"),
        (["series", "train", "sine", "--head", "mean"], 2, "quantiles"),
        (["series", "eval", "nowhere"], 4, "there is no model at nowhere"),
        (["series", "forecast", "nowhere", "--samples", "-1"], 2, "--samples"),
        (["series", "forecast", "nowhere", "--levels", "x"], 2, "no levels"),
    ],
)
def test_mistakes_are_answered_with_a_sentence(say, words, code, message):
    found, _, err = say(*words)
    assert found == code and message in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n" + "1,x\n" * 5 + "2,3\n" * 30, "column 'b' holds 'x'"),
        ("a\n" + "4\n" * 40, "constant"),
        ("a\n1\n2\n3\n", "3 rows"),
        ("a\n" + "nan\n" * 40, "only missing values"),
        ("day,a\n2020-01-02,1\n2020-01-01,2\n" + "2020-02-01,3\n" * 20, "out of order"),
    ],
)
def test_what_cannot_be_learned_is_exit_code_3_and_a_sentence(say, tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    words = ["--column", "a,b"] if text.startswith("a,b") else []
    code, out, err = say("series", "train", path, "--out", tmp_path / "run", *words)
    assert code == 3 and message in err and out == ""
    assert not (tmp_path / "run").exists()
    assert "no such" not in err


def test_a_column_that_is_not_there_is_exit_code_3(say, sales, tmp_path):
    code, _, err = say("series", "train", sales, "--column", "salse", "--out", tmp_path / "run")
    assert code == 3 and "no column 'salse'" in err and "sales" in err
