"""Several processes train one network: as one would, and without waiting for the dead."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from charlm.training.processes import lost_processes, rows_of

ROOT = Path(__file__).parents[2]
TEXT = "the cat sat on the mat and the dog sat on the log, né?\nso it goes\n\n" * 25
SMALL = ["--hidden", 12, "--embed", 8, "--batch", 5, "--bptt", 12, "--lr", 0.001]
SMALL += ["--dropout", 0, "--precision", "fp32", "--threads", 1, "--tokenizer", "char"]
IMPATIENT = (
    "from charlm.training import meeting; meeting.MEETING_TIMEOUT = 2.0\n"
    "from charlm.cli.main import entry_point; entry_point()"
)


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    (folder / "book.txt").write_text(TEXT)
    return folder / "book.txt"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def listens(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def start(size, book, *words, fault=None, restarts=0):
    """Start `size` processes under torchrun."""
    command = [str(word) for word in ("train", book, *SMALL, *words)]
    runner = [str(ROOT / "tests/faults/rank.py"), json.dumps(fault)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(size)]
    launcher += ["--master-port", str(free_port()), "--max-restarts", str(restarts)]
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


def start_alone(rank, port, *words, host="127.0.0.1", runner=("-m", "charlm")):
    """Start one of two processes without torchrun."""
    environment = os.environ | {
        "RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": host,
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, *runner, "train", *map(str, words)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def exit_codes(out):
    """Give the exit codes that torchrun reports, the first process to fail as the last."""
    return re.findall(r"exitcode +: (-?\d+)", out)


def losses(out):
    """Give the losses and scores by step."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return {
        (line["step"], name): line[name]
        for line in lines
        for name in ("nats", "validation_nats")
        if name in line
    }


def assert_close(some, others):
    """Compare losses of runs whose sums were added up in another order."""
    assert some.keys() == others.keys() and len(some) > 10 and None not in some.values()
    for key in some:
        assert others[key] == pytest.approx(some[key], rel=1e-5), key


def test_each_stream_is_read_by_one_process_and_the_first_has_some():
    for size in (1, 2, 3, 7):
        for streams in (1, 2, 5, 8, 20):
            parts = [rows_of(rank, size, streams) for rank in range(size)]
            assert parts[0][0] == 0 and parts[-1][1] == streams
            assert all(a[1] == b[0] for a, b in pairwise(parts))
            assert parts[0][1] > 0


PENALTIES = ["--activation-penalty", 2, "--temporal-penalty", 1]
READINGS = {
    "streams": ["--bptt-start", 3],  # windows that grow
    "padded": ["--batches", "padded", *PENALTIES],
    "windows at random, and averages": ["--random-windows", "--average", 0.5, *PENALTIES],
}


@pytest.mark.parametrize("reading", READINGS)
def test_two_processes_equal_one(book, forge, tmp_path, reading):
    more = ["--steps", 100, "--documents", "line", *READINGS[reading]]
    words = ["train", book, *SMALL, *more, "--out"]
    code, out, _ = forge.run(*words, tmp_path / "1")
    assert code == 0, out
    codes, out = forge.run_together(2, *words, tmp_path / "2")
    assert codes == [0, 0], out
    assert_close(losses(tmp_path / "1"), losses(tmp_path / "2"))


def test_e6_a_run_goes_on_with_another_number_of_processes(forge, book, tmp_path):
    more = ["--steps", 60, "--save-every", 10]
    code, out, _ = forge.run("train", book, *SMALL, *more, "--out", tmp_path / "one")
    assert code == 0, out
    words = [*more, "--out", tmp_path / "many", "--resume"]
    fault = {"rank": 0, "at": "step", "number": 21, "does": "SIGTERM"}
    codes, out = forge.run_together(2, "train", book, *SMALL, *words, fault=fault)
    assert codes[0] == 143, out
    fault = {"at": "step", "number": 13, "does": "SIGTERM"}
    code, out, _ = forge.run("train", book, *SMALL, *words, fault=fault)
    assert code == 143 and "going on from step" in out, out
    checkpoints = tmp_path / "many" / "checkpoints"
    newest = max(checkpoints.glob("step-*"))
    (newest / "model.safetensors").write_bytes(b"damaged")
    code, out = run(2, book, *words)  # under torchrun, as one would
    assert code == 0 and "going on from step" in out and "the checkpoint before it" in out, out
    assert (checkpoints / f".{newest.name}.damaged").exists(), "one process has set it aside"
    assert_close(losses(tmp_path / "one"), losses(tmp_path / "many"))


def test_e1_when_one_process_is_killed_the_other_leaves_soon(book, tmp_path):
    words = ["--steps", 100_000, "--save-every", 10, "--out", tmp_path / "run"]
    fault = {"rank": 1, "at": "step", "number": 15, "does": "kill"}
    began = time.monotonic()
    code, out = run(2, book, *words, fault=fault)
    assert code != 0 and time.monotonic() - began < 40, out
    assert "another process of this run is lost" in out


def test_e1_with_restarts_torchrun_goes_on_from_the_checkpoint(book, forge, tmp_path):
    words = ["--steps", 40, "--save-every", 10]
    fault = {"rank": 1, "at": "step", "number": 25, "does": "kill"}
    code, out = run(2, book, *words, "--out", tmp_path / "run", fault=fault, restarts=1)
    assert code == 0 and "going on from step 20" in out, out
    codes, out = forge.run_together(2, "train", book, *SMALL, *words, "--out", tmp_path / "whole")
    assert codes == [0, 0], out
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


@pytest.fixture(scope="session")
def whole(book, forge, tmp_path_factory):
    """Give the losses of one process that nothing disturbs."""
    out = tmp_path_factory.mktemp("whole") / "run"
    code, log, _ = forge.run("train", book, *SMALL, "--steps", 60, "--out", out)
    assert code == 0, log
    return losses(out)


def test_e3_all_skip_the_step_that_is_nan_in_one(book, forge, tmp_path):
    words = ["train", book, *SMALL, "--steps", 60, "--out"]
    fault = {"rank": 1, "at": "loss", "number": 7, "does": "nan"}
    codes, out = forge.run_together(2, *words, tmp_path / "two", fault=fault)
    assert codes == [0, 0], out
    weights = re.findall(r"^weights (\w+)$", out, re.MULTILINE)
    assert len(weights) == 2 and len(set(weights)) == 1, "all have the same weights"
    forge.run(*words, tmp_path / "one", fault=fault | {"rank": 0})
    assert_close(losses(tmp_path / "one"), losses(tmp_path / "two"))
    lines = (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines if "skipped" in line] == [7]


def test_e4_when_one_runs_out_of_memory_all_cut_their_batches(book, whole, forge, tmp_path):
    words = ["train", book, *SMALL, "--steps", 60, "--out", tmp_path / "run"]
    fault = {"rank": 1, "at": "loss", "number": 7, "does": "MemoryError"}
    codes, out = forge.run_together(2, *words, fault=fault)
    assert codes == [0, 0], out
    assert_close(whole, losses(tmp_path / "run"))
    last = max((tmp_path / "run" / "checkpoints").iterdir())
    assert json.loads((last / "training.json").read_text())["pieces"] == 2


def test_e4_where_no_piece_is_small_enough_all_stop(book, forge, tmp_path):
    words = ["train", book, *SMALL, "--steps", 60, "--out", tmp_path / "run"]
    fault = {"rank": 1, "at": "loss", "number": 7, "does": "MemoryError", "persistent": True}
    codes, out = forge.run_together(2, *words, fault=fault)
    assert codes == [7, 7], out


def test_e5_processes_that_differ_are_refused(book, tmp_path):
    port, words = free_port(), [book, *SMALL, "--out", tmp_path / "run"]
    children = [start_alone(rank, port, *words, "--steps", 10 + rank) for rank in (0, 1)]
    for child in children:
        err = child.communicate(timeout=60)[1]
        assert child.returncode == 2 and "the processes differ in what they do" in err, err


def test_e7_when_the_first_has_no_disk_left_all_stop(book, forge, tmp_path):
    words = ["--steps", 100, "--save-every", 10, "--out"]
    fault = {"rank": 0, "at": "operation", "number": 90, "does": "ENOSPC", "persistent": True}
    codes, out = forge.run_together(2, "train", book, *SMALL, *words, tmp_path / "a", fault=fault)
    assert codes == [5, 5], out
    code, out = run(2, book, *words, tmp_path / "b", fault=fault)
    assert code != 0 and "No space left" in out
    assert exit_codes(out)[-1] == "5", "torchrun ends with 1 and tells the first one's code"
    assert f"{ROOT}/charlm" not in out, "no traceback of ours, whatever torchrun prints"


def test_e8_processes_that_cannot_meet_say_where_and_end(book, tmp_path):
    words = [book, *SMALL, "--steps", 5, "--out", tmp_path / "run"]
    with socket.create_server(("127.0.0.1", 0)) as other:
        cases = [
            (0, "127.0.0.1", other.getsockname()[1], "in use"),
            (0, "127.0.0.1", free_port(), "process 1 of 2 did not come within 2 s"),
            (1, "127.0.0.1", free_port(), "refused, for 2 s"),
            (1, "no.such.host.invalid", free_port(), "for 2 s"),
        ]
        children = [
            start_alone(rank, port, *words, host=host, runner=("-c", IMPATIENT))
            for rank, host, port, _ in cases
        ]
        for child, (_, host, port, why) in zip(children, cases, strict=True):
            err = child.communicate(timeout=30)[1]
            assert child.returncode == 2 and "Traceback" not in err, err
            assert f"cannot meet at {host}:{port}: " in err and why in err, err


def test_e8_the_others_wait_for_as_long_as_the_first_prepares(tmp_path):
    port, limit = free_port(), time.monotonic() + 30
    words = ["-", *SMALL, "--steps", 5, "--out", tmp_path / "run"]
    children = [start_alone(0, port, *words, runner=("-c", IMPATIENT))]
    while not listens(port) and time.monotonic() < limit:
        time.sleep(0.05)
    children.append(start_alone(1, port, *words, runner=("-c", IMPATIENT)))
    time.sleep(4)  # twice what finding each other may take
    for child, text in zip(children, (TEXT, None), strict=True):
        err = child.communicate(text, timeout=60)[1]
        assert child.returncode == 0, err


@pytest.mark.parametrize("reading", ["streams", "padded"])
def test_e9_a_process_without_streams_keeps_none_waiting(book, forge, tmp_path, reading):
    # padded: an epoch has 46 steps and a batch of one document, and 3 processes share 2 at most
    size, batch = (2, 1) if reading == "streams" else (3, 2)
    words = ["train", book, *SMALL, "--steps", 60, "--batches", reading, "--documents", "line"]
    words += ["--batch", batch, "--bptt", 30, "--out"]
    assert forge.run(*words, tmp_path / "one")[0] == 0
    fault = {"rank": 0, "at": "step", "number": 31, "does": "SIGTERM"}
    words.append(tmp_path / "many")
    codes, out = forge.run_together(size, *words, fault=fault)
    assert codes[0] == 143, out
    codes, out = forge.run_together(size, *words, "--resume")
    assert codes == [0] * size, out
    assert_close(losses(tmp_path / "one"), losses(tmp_path / "many"))


def test_a_mistake_in_an_exchange_is_not_taken_for_a_lost_process():
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"), lost_processes():
        torch.cat([torch.zeros(2, 3), torch.zeros(2, 4)])
