"""Several processes train one network: as one would, and without waiting for the dead."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from charlm.training.processes import rows_of

ROOT = Path(__file__).parents[2]
TEXT = "the cat sat on the mat and the dog sat on the log, né?\nso it goes\n\n" * 25
SMALL = ["--hidden", 12, "--embed", 8, "--batch", 5, "--bptt", 12, "--lr", 0.001]
SMALL += ["--dropout", 0, "--precision", "fp32", "--threads", 1, "--tokenizer", "char"]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    (folder / "book.txt").write_text(TEXT)
    return folder / "book.txt"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(size, book, *words, fault=None, restarts=0):
    """Start `size` processes; one is started without torchrun."""
    command = [str(word) for word in ("train", book, *SMALL, *words)]
    runner = [str(ROOT / "tests/faults/rank.py"), json.dumps(fault)]
    launcher = [sys.executable]
    if size > 1:
        launcher += ["-m", "torch.distributed.run", "--nproc-per-node", str(size)]
        launcher += ["--master-port", str(free_port()), "--max-restarts", str(restarts)]
    else:
        runner = ["-m", "charlm"]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "CHARLM_CACHE": str(book.parent / "cache"),
    }
    return subprocess.Popen(
        [*launcher, *runner, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def run(size, book, *words, **keywords):
    with start(size, book, *words, **keywords) as process:
        out = process.communicate(timeout=90)[0]
    return process.returncode, out


def losses(out):
    """Give the losses and scores by step."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return {
        (line["step"], name): line[name]
        for line in lines
        for name in ("nats", "validation_nats")
        if name in line
    }


def test_each_stream_is_read_by_one_process_and_the_first_has_some():
    for size in (1, 2, 3, 7):
        for streams in (1, 2, 5, 8, 20):
            parts = [rows_of(rank, size, streams) for rank in range(size)]
            assert parts[0][0] == 0 and parts[-1][1] == streams
            assert all(a[1] == b[0] for a, b in pairwise(parts))
            assert parts[0][1] > 0


@pytest.mark.parametrize("reading", ["streams", "padded"])
def test_two_processes_equal_one(book, tmp_path, reading):
    more = ["--steps", 100, "--batches", reading, "--documents", "line"]
    for size in (1, 2):
        code, out = run(size, book, *more, "--out", tmp_path / str(size))
        assert code == 0, out
    one, two = losses(tmp_path / "1"), losses(tmp_path / "2")
    assert one.keys() == two.keys() and len(one) > 10
    for key in one:
        assert two[key] == pytest.approx(one[key], rel=1e-5), key


def test_e6_a_run_goes_on_with_another_number_of_processes(book, tmp_path):
    more = ["--steps", 60, "--save-every", 10]
    assert run(1, book, *more, "--out", tmp_path / "one")[0] == 0
    words = [*more, "--out", tmp_path / "many", "--resume"]
    fault = {"rank": 0, "at": "step", "number": 21, "does": "SIGTERM"}
    assert run(2, book, *words, fault=fault)[0] != 0
    with start(1, book, *words, "--save-every", 5) as process:
        steps = tmp_path / "many" / "checkpoints"
        deadline = time.monotonic() + 60
        while not list(steps.glob("step-00000003*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    code, out = run(2, book, *words)
    assert code == 0 and ("going on from step" in out or "is finished" in out), out
    one, many = losses(tmp_path / "one"), losses(tmp_path / "many")
    assert one.keys() == many.keys()
    for key in one:
        assert many[key] == pytest.approx(one[key], rel=1e-5), key


def test_e1_when_one_process_is_killed_the_other_leaves_soon(book, tmp_path):
    words = ["--steps", 100_000, "--save-every", 10, "--out", tmp_path / "run"]
    fault = {"rank": 1, "at": "step", "number": 15, "does": "kill"}
    began = time.monotonic()
    code, out = run(2, book, *words, fault=fault)
    assert code != 0 and time.monotonic() - began < 40, out
    assert "another process of this run is lost" in out


def test_e1_with_restarts_torchrun_goes_on_from_the_checkpoint(book, tmp_path):
    words = ["--steps", 40, "--save-every", 10]
    fault = {"rank": 1, "at": "step", "number": 25, "does": "kill"}
    code, out = run(2, book, *words, "--out", tmp_path / "run", fault=fault, restarts=1)
    assert code == 0 and "going on from step 20" in out, out
    assert run(2, book, *words, "--out", tmp_path / "whole")[0] == 0
    names = [tmp_path / name / "model.safetensors" for name in ("run", "whole")]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_e2_sigterm_to_torchrun_saves_once_and_ends_all(book, tmp_path):
    words = ["--steps", 100_000, "--save-every", 50, "--out", tmp_path / "run"]
    with start(2, book, *words) as process:
        log = tmp_path / "run" / "metrics.jsonl"
        deadline = time.monotonic() + 60
        while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.05)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out = process.communicate(timeout=60)[0]
        assert time.monotonic() - began < 30
    assert process.returncode != 0
    assert out.count("saving what was learned") == 1, out
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["run"]["stopped_by"] == "request"


def test_e5_processes_that_differ_are_refused(book, tmp_path):
    port = str(free_port())
    children = []
    for rank in (0, 1):
        environment = os.environ | {
            "RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "CHARLM_CACHE": str(book.parent / "cache"),
        }
        words = ["train", book, *SMALL, "--steps", 10 + rank, "--out", tmp_path / "run"]
        command = [sys.executable, "-m", "charlm", *map(str, words)]
        children.append(
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        )
    for child in children:
        err = child.communicate(timeout=60)[1]
        assert child.returncode == 2 and "the processes differ in what they do" in err, err


def test_e7_when_the_first_has_no_disk_left_all_stop(book, tmp_path):
    words = ["--steps", 100, "--save-every", 10, "--out", tmp_path / "run"]
    fault = {"rank": 0, "at": "operation", "number": 90, "does": "ENOSPC", "persistent": True}
    code, out = run(2, book, *words, fault=fault)
    assert code != 0 and "No space left" in out
    assert f"{ROOT}/charlm" not in out, "no traceback of ours, whatever torchrun prints"
