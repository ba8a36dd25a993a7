"""The experiments of scripts/reproduce: they parse, ask for options that exist, run, and judge."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from charlm.cli.main import make_parser
from charlm.cli.parser import parse
from charlm.language.recipe import request_from

FOLDER = Path(__file__).parents[1] / "scripts" / "reproduce"
SCRIPTS = sorted(FOLDER.glob("*.sh"))
FIGURE = r"figure \S+ \S+( [\d.]+ [\d.]+| below \S+)?"
STAND_IN = """
import json, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
names = "network", "counts", "network+counts", "network+cache", "network+counts+cache"
figures = dict.fromkeys(names, {{"nats": 50.0, "word_perplexity": 99.0, "bits_per_byte": 9.0}})
if sys.argv[1] == "eval":
    print(json.dumps({{"characters": 20, "tokens": 10, "by_predictor": figures}}))
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="the scripts are for bash")


def run(script, *words, folder, command=(sys.executable, "-m", "charlm"), **variables):
    environment = os.environ | {
        "CHARLM": " ".join(command),
        "PYTHON": sys.executable,
        "RUNS": str(folder / "runs"),
        "CHARLM_CACHE": str(folder / "cache"),
    }
    done = subprocess.run(
        ["bash", str(script), *map(str, words)],
        capture_output=True,
        text=True,
        env=environment | variables,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def stand_in(tmp_path):
    """Make a stand-in for charlm, and all texts, empty; give the command and what it was asked."""
    program, log = tmp_path / "stand_in.py", tmp_path / "log"
    program.write_text(STAND_IN.format(log=str(log)))
    needed = {
        file
        for script in SCRIPTS
        for file in re.findall(r"[\w-]+/[\w.]+\.(?:txt|abc)", script_of(script))
    }
    for file in needed:
        path = tmp_path / "data" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return (sys.executable, str(program)), lambda: [
        json.loads(line) for line in log.read_text().splitlines()
    ]


def script_of(path):
    return path.read_text()


def test_there_is_an_experiment_for_each_preset_and_each_is_named_once():
    from charlm.language.presets import PRESETS

    used = [name for path in SCRIPTS for name in re.findall(r"--preset (\S+)", script_of(path))]
    assert sorted(used) == sorted(PRESETS)


@pytest.mark.parametrize("path", [*SCRIPTS, FOLDER / "experiment"], ids=lambda path: path.stem)
def test_a_script_parses(path):
    done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_what_it_is_and_judges_what_it_says(path):
    text = script_of(path)
    head = text.split("\nsource ")[0]
    assert os.access(path, os.X_OK) and head.startswith("#!/usr/bin/env bash\n# ")
    for field in ("# Source:   ", "# Expected: ", "# Time:     "):
        assert field in head
    figures = re.findall(r"^ *(figure .*)$", text, re.MULTILINE)
    assert figures and all(re.fullmatch(FIGURE, line) for line in figures)
    judged = [line.split()[3:] for line in figures if len(line.split()) > 3]
    assert bool(judged) == ("# Expected: not yet run" not in head)
    for value, tolerance in judged:
        told = ("fewer", "without") if value == "below" else (value, tolerance)
        assert all(word in head for word in told), "the head tells what is expected"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_asks_for_options_that_exist(path, stand_in, tmp_path):
    command, asked = stand_in
    code, out, err = run(path, tmp_path / "data", folder=tmp_path, command=command)
    judges = "# Expected: not yet run" not in script_of(path)
    assert code == int(judges) and ("MISSED" in out) == judges, err  # the stand-in's are others
    parser, commands = make_parser()
    words = asked()
    course = " ".join(line[0] for line in words)
    assert re.fullmatch(r"(train( adapt)?( eval)+ ?)+", course), (
        "each model is trained, then judged"
    )
    out = ""
    for line in words:
        arguments = parse(parser, commands, line)
        if line[0] == "train":
            request = request_from(vars(arguments))
            assert request.resume and request.out.startswith(str(tmp_path / "runs" / path.stem))
            assert request.out != out, "each model has a place of its own"
            out = request.out
        else:
            assert arguments.model == out


def test_with_options_it_is_a_trial_that_nobody_judges(stand_in, tmp_path):
    command, asked = stand_in
    path = FOLDER / "ptb-words.sh"
    words = ["--hidden", 8, "--minutes", 3]
    variables = {"CHARLM_DATA": str(tmp_path / "data")}
    code, out, _ = run(path, *words, folder=tmp_path, command=command, **variables)
    assert code == 0 and "not judged" in out and "MISSED" not in out
    assert asked()[0][-4:] == ["--hidden", "8", "--minutes", "3"]
    assert "ptb-words-trial" in asked()[0][-6] and "--force" in asked()[0]
    code, _, _ = run(path, "--force", folder=tmp_path, command=command, **variables)
    assert code == 1 and asked()[2][-1] == "--force", "that alone changes no figure"


def test_texts_that_are_missing_are_named(tmp_path):
    for words in ([tmp_path], [tmp_path / "nothing"]):
        code, out, err = run(FOLDER / "ptb-words.sh", *words, folder=tmp_path)
        assert code == 1 and out == "" and err.startswith("error: "), err
    (tmp_path / "ptb").mkdir()
    (tmp_path / "ptb" / "ptb.train.txt").touch()
    code, _, err = run(FOLDER / "ptb-words.sh", tmp_path, folder=tmp_path)
    assert code == 1 and "ptb/ptb.valid.txt is not in" in err


def test_a_miniature_runs_through_an_experiment(tmp_path):
    folder = tmp_path / "data" / "ptb"
    folder.mkdir(parents=True)
    for part, times in (("train", 1200), ("valid", 3), ("test", 4)):
        (folder / f"ptb.{part}.txt").write_text("the cat sat on the <unk>\nso it goes\n" * times)
    small = ["--hidden", 8, "--embed", 8, "--batch", 64, "--epochs", 1, "--threads", 1]
    path = FOLDER / "zaremba-small.sh"
    code, out, err = run(path, tmp_path / "data", *small, folder=tmp_path)
    assert code == 0, err
    assert len(re.findall(r"^network, word perplexity: [\d.]+ \(not judged\)$", out, re.M)) == 2
    assert (tmp_path / "runs" / "zaremba-small-trial" / "MANIFEST.json").exists()
    run_json = json.loads((tmp_path / "runs" / "zaremba-small-trial" / "run.json").read_text())
    assert run_json["request"]["schedule"] == "step" and not run_json["request"]["tie"]


@pytest.mark.parametrize(
    "words, code, told",
    [
        (["network", "word_perplexity"], 0, "99.0000 (not judged)"),
        (["network", "word_perplexity", "98", "1"], 0, "expected 98 within 1: met"),
        (["network", "word_perplexity", "97.9", "1"], 1, "MISSED"),
        (["network", "nats_per_character", "2.5", "0"], 0, "nats per character: 2.5000"),
        (["network", "bits_per_token"], 0, "7.2135"),
        (["counts", "word_perplexity"], 0, "this model has none (not judged)"),
        (["counts", "word_perplexity", "9", "1"], 1, "none (expected 9 within 1: MISSED)"),
        (["network", "bits_per_byte"], 1, "the evaluation has no bits_per_byte"),
        (
            ["cached", "word_perplexity", "below", "network"],
            0,
            "98.0000 (below that of network: met",
        ),
        (["network", "word_perplexity", "below", "cached"], 1, "MISSED"),
        (["network", "word_perplexity", "below", "network"], 1, "MISSED"),
        (["counts", "word_perplexity", "below", "network"], 1, "MISSED"),
        (["network"], 1, "PREDICTOR MEASURE"),
    ],
)
def test_a_figure_is_printed_and_judged(words, code, told):
    one = {"nats": 50.0, "word_perplexity": 99.0, "bits_per_byte": None}
    both = {"network": one, "cached": one | {"word_perplexity": 98.0}}
    evaluation = {"characters": 20, "tokens": 10, "by_predictor": both}
    done = subprocess.run(
        [sys.executable, str(FOLDER / "expect"), *words],
        input=json.dumps(evaluation),
        capture_output=True,
        text=True,
    )
    assert done.returncode == code and told in done.stdout + done.stderr
