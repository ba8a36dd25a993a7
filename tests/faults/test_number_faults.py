"""Bad numbers and too little memory: nothing of them gets into a model, and the run goes on."""

import json
import subprocess
import sys

import pytest
from safetensors.numpy import load_file

from tests.faults.forge import outcome

SMALL = ["--hidden", 12, "--embed", 8, "--batch", 4, "--bptt", 12, "--lr", 0.01, "--threads", 1]
EXACTLY = ["--precision", "fp32"]  # bfloat16 rounds more than is compared
SMALL += ["--dropout", 0.2, "--steps", 24, "--save-every", 5, "--tokenizer", "char"]


def words_of(forge, out, *more):
    return ["train", forge.folder / "book.txt", *SMALL, *more, "--out", out, "--resume"]


def metrics(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def skipped(out):
    return [line["step"] for line in metrics(out) if "skipped" in line]


def training_state(out):
    last = max((out / "checkpoints").iterdir())
    return json.loads((last / "training.json").read_text()), load_file(
        last / "optimizer.safetensors"
    )


def are_finite(tensors):
    return all((abs(tensor) < float("inf")).all() for tensor in tensors.values())


@pytest.fixture(scope="session")
def reference(forge):
    out = forge.folder / "reference-numbers"
    assert forge.run(*words_of(forge, out))[0] == 0
    return outcome(out)


@pytest.mark.parametrize("does", ["nan", "gradient inf", "gradient nan"])
def test_d8_d9_a_step_without_finite_numbers_is_skipped_counted_and_placed(forge, tmp_path, does):
    out, fault = tmp_path / "run", {"at": "loss", "number": 8, "does": does}
    code, log, fired = forge.run(*words_of(forge, out), fault=fault)
    assert code == 0 and fired and "want of a finite gradient: 1" in log, log
    (line,) = [line for line in metrics(out) if "skipped" in line]
    assert line["step"] == 8 and line["position"] is not None
    state, moments = training_state(out)
    assert state["skipped_steps"] == 1 and state["rollbacks"] == 0
    assert are_finite(moments) and are_finite(load_file(out / "model.safetensors"))


@pytest.mark.parametrize("does", ["nan", "gradient inf"])
def test_d8_without_any_finite_step_the_run_ends_and_keeps_its_last_good_weights(
    forge, tmp_path, does
):
    out, fault = tmp_path / "run", {"at": "loss", "number": 8, "does": does, "persistent": True}
    code, log, _ = forge.run(*words_of(forge, out), fault=fault)
    assert code == 6 and "diverged" in log and "lower --lr" in log and "Traceback" not in log, log
    returns = [line for line in metrics(out) if "rolled_back_to" in line]
    assert [line["learning_rate_factor"] for line in returns] == [0.5, 0.25, 0.125]
    assert {line["rolled_back_to"] for line in returns} == {5}
    last = max((out / "checkpoints").iterdir())
    assert last.name.endswith("5") and are_finite(load_file(last / "model.safetensors"))


def test_d9_a_spike_that_is_finite_is_clipped_and_not_skipped(forge, reference, tmp_path):
    found = []
    for times in (100, 10_000):
        out, fault = (
            tmp_path / str(times),
            {"at": "loss", "number": 20, "does": f"gradient {times}"},
        )
        code, log, fired = forge.run(*words_of(forge, out), *EXACTLY, fault=fault)
        assert code == 0 and fired and skipped(out) == [], log
        assert outcome(out) != reference
        found.append(load_file(out / "model.safetensors"))
    for name, weights in found[0].items():
        assert weights == pytest.approx(found[1][name], abs=1e-4), "both are cut to one length"


def test_d10_of_a_step_with_nan_in_any_part_nothing_is_kept(forge, tmp_path):
    found = []
    for slice_of_step in (15, 16):  # both of the eighth step
        out = tmp_path / str(slice_of_step)
        fault = {"at": "loss", "number": slice_of_step, "does": "nan"}
        code, log, fired = forge.run(*words_of(forge, out, "--accumulate", 2), fault=fault)
        assert code == 0 and fired and skipped(out) == [8], log
        found.append(outcome(out))
    assert found[0] == found[1]


def test_d12_memory_short_once_changes_the_pieces_and_not_what_is_learned(
    forge, reference, tmp_path
):
    out, fault = tmp_path / "run", {"at": "loss", "number": 8, "does": "MemoryError"}
    words = [*words_of(forge, out), "--dropout", 0, *EXACTLY]
    assert forge.run(*words_of(forge, tmp_path / "whole"), "--dropout", 0, *EXACTLY)[0] == 0
    code, log, fired = forge.run(*words, fault=fault)
    assert code == 0 and fired and training_state(out)[0]["pieces"] == 2, log
    for ours, whole in zip(metrics(out), metrics(tmp_path / "whole"), strict=True):
        assert ours == pytest.approx(whole, rel=1e-4)


def test_d12_memory_short_for_good_is_said_with_what_to_do(forge, tmp_path):
    fault = {"at": "loss", "number": 8, "does": "MemoryError", "persistent": True}
    code, log, _ = forge.run(*words_of(forge, tmp_path / "run"), fault=fault)
    assert code == 7 and "--batch" in log and "Traceback" not in log, log
    code, log, _ = forge.run(*words_of(forge, tmp_path / "run"))
    assert code == 0 and "going on from step 5" in log, log


LIMITED = """
import resource, sys
import torch, charlm.language.course
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 300_000_000, size + 300_000_000))
from charlm.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for less memory")
def test_d12_a_system_that_gives_no_more_is_met_with_smaller_pieces(forge, tmp_path):
    words = ["train", forge.folder / "book.txt", "--steps", 1, "--hidden", 64, "--threads", 1]
    words += ["--batch", 256, "--bptt", 400, "--tokenizer", "byte", "--out", tmp_path / "run"]
    words += ["--precision", "fp32"]
    (tmp_path / "long.txt").write_text("the cat sat on the mat. " * 5000)
    words[1] = tmp_path / "long.txt"
    command = [sys.executable, "-c", LIMITED, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode != 7:
        assert done.returncode == 0, done.stderr
        assert training_state(tmp_path / "run")[0]["pieces"] > 1
