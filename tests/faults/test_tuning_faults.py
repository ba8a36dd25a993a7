"""Several processes search in one study; some are killed, some are asked to stop (G6, G7)."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("optuna")

ROOT = Path(__file__).parents[2]
TEXT = "the cat sat on the mat and the dog sat on the log, né?\nso it goes\n\n" * 40
SMALL = ["--tokenizer", "char", "--hidden", "24", "--batch", "4", "--bptt", "16", "--threads", "1"]
SMALL += ["--cell", "lstm", "--layers", "1", "--no-prune", "--study", "s"]
FORGED = ["--hidden", 12, "--batch", 4, "--bptt", 12, "--threads", 1, "--steps", 4]
SLOW = (  # each step takes a while, so that there is time to be killed in
    "import sys, time\n"
    "seconds = float(sys.argv.pop(1))\n"
    "from charlm.training.trainer import Trainer\n"
    "usual = Trainer.train_step\n"
    "def slow(self, batch): time.sleep(seconds); usual(self, batch)\n"
    "Trainer.train_step = slow\n"
    "from charlm.cli.main import entry_point; entry_point()"
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "book.txt").write_text(TEXT)
    return tmp_path


@pytest.fixture
def start(folder):
    started = []

    def start(*words, seconds=0.02):
        words = ["tune", "book.txt", *SMALL, *map(str, words)]
        command = [sys.executable, "-c", SLOW, str(seconds), *words]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=folder, env=environment, **pipes))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process):
    out, err = process.communicate(timeout=90)
    return process.returncode, out, err


def wait_for(folder, pattern, seconds=60):
    """Wait until a file is there, and has something in it."""
    deadline = time.monotonic() + seconds
    while not any(path.stat().st_size for path in folder.glob(pattern)):
        assert time.monotonic() < deadline, pattern
        time.sleep(0.02)


def test_g6_two_processes_share_the_trials_of_a_study(start):
    both = [start("--trials", 5, "--steps", 20, "--json", seconds=0.1) for _ in range(2)]
    values = []
    for process in both:
        code, out, err = ended(process)
        assert code == 0, err
        values.append(json.loads(out))
        assert err.count("bits per byte") >= 1, "each had some of the trials"
    assert values[0]["trials"] == values[1]["trials"] and values[0]["best"] == values[1]["best"]
    assert [trial["number"] for trial in values[0]["trials"]] == list(range(5))
    assert {trial["state"] for trial in values[0]["trials"]} == {"complete"}
    drawn = [str(trial["values"]) for trial in values[0]["trials"] if not trial["plan"]]
    assert len(set(drawn)) == len(drawn), "no two did the same"


def test_g6_after_kill_9_the_other_does_the_trial_again(start, folder):
    first = start("--trials", 2, "--steps", 30, seconds=60)
    wait_for(folder, "s/trial-0000/run.json")
    other = start("--trials", 2, "--steps", 30, "--json")
    wait_for(folder, "s/trial-0001/run.json")
    first.send_signal(signal.SIGKILL)
    code, out, err = ended(other)
    assert code == 0 and "trial 0 has lost process" in err, err
    states = [(trial["state"], trial["plan"]) for trial in json.loads(out)["trials"]]
    assert states == [("again", True), ("complete", False), ("complete", True)]


def states(folder, forge, trials, study):
    """Search without a fault; give what became of the trials."""
    words = ["tune", forge.folder / "book.txt", *FORGED, "--trials", trials, "--study", study]
    code, log, _ = forge.run(*words, "--json")
    assert code == 0, log
    trials = json.loads(log.splitlines()[-1])["trials"]
    done = sorted(trial["score"] for trial in trials if trial["state"] == "complete")
    return [trial["state"] for trial in trials], done, log


@pytest.fixture(scope="module")
def undisturbed(forge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return states(folder, forge, 2, folder / "s")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_g6_a_signal_leaves_a_whole_study_and_says_how_to_go_on(forge, tmp_path, undisturbed, name):
    words = ["tune", forge.folder / "book.txt", *FORGED, "--trials", 2, "--study", tmp_path / "s"]
    fault = {"at": "step", "number": 6, "does": name}  # in the second trial
    code, log, fired = forge.run(*words, fault=fault)
    assert fired and code == 128 + getattr(signal, name) and "Traceback" not in log
    assert "done again as trial 2" in log
    [told] = [line for line in log.splitlines() if line.startswith("the study is whole")]
    again = shlex.split(told.split("to go on: ")[1])
    code, log, _ = forge.run(*again[1:], "--json")
    trials = json.loads(log.splitlines()[-1])["trials"]
    assert [trial["state"] for trial in trials] == ["complete", "again", "complete"]
    done = sorted(trial["score"] for trial in trials if trial["score"] is not None)
    assert code == 0 and done == undisturbed[1]


@pytest.mark.parametrize("number", [3, 9, 47, 110, 150])
@pytest.mark.parametrize("does", ["kill", "ENOSPC", "SIGTERM"])
def test_g6_wherever_a_process_ends_the_study_goes_on(forge, tmp_path, undisturbed, number, does):
    words = ["tune", forge.folder / "book.txt", *FORGED, "--trials", 2, "--study", tmp_path / "s"]
    fault = {"at": "operation", "number": number, "does": does}
    code, log, fired = forge.run(*words, fault=fault)
    assert fired and "Traceback" not in log
    assert code == {"kill": 137, "ENOSPC": 5, "SIGTERM": 143}[does], log
    found, done, _ = states(tmp_path, forge, 2, tmp_path / "s")
    assert done == undisturbed[1] and set(found) <= {"complete", "again"}


def test_g6_a_torn_line_costs_nothing_but_itself(forge, tmp_path, undisturbed):
    states(tmp_path, forge, 1, tmp_path / "s")
    journal = tmp_path / "s/journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole.splitlines(keepends=True)[-1][:-9])
    found, done, log = states(tmp_path, forge, 2, tmp_path / "s")
    assert found == ["complete", "complete"] and done == undisturbed[1]
    assert "ended in a broken line" in log and journal.read_bytes().startswith(whole)
