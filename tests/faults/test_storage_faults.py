"""Durable writing: whatever fails, and wherever, the last good state is there and goes on."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from charlm import storage
from charlm.errors import DiskError, ModelError, UsageError
from charlm.storage import system
from charlm.training.checkpoints import Checkpoint, Checkpoints
from tests.faults.forge import outcome

SMALL = ["--hidden", 8, "--embed", 8, "--batch", 4, "--bptt", 12, "--lr", 0.01, "--threads", 1]
SMALL += ["--steps", 9, "--save-every", 3, "--tokenizer", "char"]
ROOT = Path(__file__).parents[2]
STRIDE = 29  # of the places that the long form (scripts/soak) goes through one by one; each test
# begins at another


def words_of(forge, out):
    return ["train", forge.folder / "book.txt", *SMALL, "--out", out, "--resume"]


@pytest.fixture(scope="session")
def reference(forge):
    out = forge.folder / "reference-faults"
    assert forge.run(*words_of(forge, out))[0] == 0
    return outcome(out)


def fresh(forge, out):
    """Start from nothing, the prepared corpus included."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(forge.folder / "cache", ignore_errors=True)


def goes_on(forge, out, reference):
    """Resume, to the end, and generate."""
    code, log, _ = forge.run(*words_of(forge, out))
    assert code == 0 and "Traceback" not in log, log
    assert outcome(out) == reference
    assert not list(out.rglob("*.tmp"))
    code, log, _ = forge.run("generate", out, "the", "--max-tokens", 3)
    assert code == 0, log


def places(first):
    """Give every `STRIDE`-th operation, until a run gets through without passing it."""
    yield from range(first, 400, STRIDE)


def test_c1_killed_at_any_operation_a_run_goes_on(forge, reference, tmp_path):
    for number in places(1):
        fresh(forge, tmp_path / "run")
        fault = {"at": "operation", "number": number, "does": "kill"}
        code, log, fired = forge.run(*words_of(forge, tmp_path / "run"), fault=fault)
        assert code == (137 if fired else 0), log
        goes_on(forge, tmp_path / "run", reference)
        if not fired:
            break
    assert not fired and number > 100


@pytest.mark.parametrize(
    "name, does, persistent, first",
    [
        ("c2", "ENOSPC", True, 5),
        ("c2", "ENOSPC", False, 11),
        ("c3", "EIO", False, 17),
        ("c3", "EACCES", True, 23),
    ],
)
def test_c2_c3_a_disk_that_fails_at_any_operation(
    forge, reference, tmp_path, name, does, persistent, first
):
    words = {"ENOSPC": "No space left", "EIO": "Input/output error", "EACCES": "Permission denied"}
    for number in places(first):
        fresh(forge, tmp_path / "run")
        fault = {"at": "operation", "number": number, "does": does, "persistent": persistent}
        code, log, fired = forge.run(*words_of(forge, tmp_path / "run"), fault=fault)
        assert "Traceback" not in log, (number, log)
        if code:
            assert code == 5 and words[does] in log, (number, log)
            assert ("bytes are free" in log) == (does != "EACCES"), (number, log)
        goes_on(forge, tmp_path / "run", reference)
        if not fired:
            break
    assert not fired and number > 100


def test_c4_a_disk_too_small_is_said_before_the_first_step(tmp_path, monkeypatch, text_file):
    import charlm

    monkeypatch.setattr(storage, "free_bytes", lambda path: 1000)
    with pytest.raises(DiskError, match="1,000 are free"):
        charlm.train(text_file, out=str(tmp_path / "run"), steps=2, hidden=8)


def test_c5_where_nothing_can_be_renamed_files_are_written_in_place(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(Path, "replace", refuse)
    with (
        pytest.warns(RuntimeWarning, match="no renaming there"),
        storage.new_directory(tmp_path / "model") as writer,
    ):
        writer.write_text("a.txt", "whole")
    storage.verify(tmp_path / "model", ModelError, contents=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_c6_what_killed_processes_left_is_passed_over_and_named(forge, reference, tmp_path):
    out = tmp_path / "run"
    fault = {"at": "step", "number": 7, "does": "kill"}
    assert forge.run(*words_of(forge, out), fault=fault)[0] == 137
    (out / "checkpoints" / ".step-000000009.abc.tmp").mkdir()
    (out / "checkpoints" / "step-000000009").mkdir()
    (out / "checkpoints" / "step-000000009" / "training.json").write_text("{}")
    (out / "checkpoints" / "latest").symlink_to("nowhere")
    code, log, _ = forge.run(*words_of(forge, out))
    assert code == 0 and "going on from step 6" in log and ".abc.tmp" in log, log


def damage_newest(out):
    path = max((out / "checkpoints").glob("step-*")) / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    return path.parent


def test_c7_a_damaged_checkpoint_is_named_and_the_one_before_it_used(forge, reference, tmp_path):
    out = tmp_path / "run"
    fault = {"at": "step", "number": 8, "does": "kill"}
    assert forge.run(*words_of(forge, out), fault=fault)[0] == 137
    damaged = damage_newest(out)
    code, log, _ = forge.run(*words_of(forge, out), "--no-fallback")
    assert code == 4 and str(damaged) in log and "damaged" in log
    code, log, _ = forge.run(*words_of(forge, out))
    assert code == 0 and "warning" in log and str(damaged) in log and "from step 3" in log
    assert outcome(out) == reference


def test_c7_without_any_whole_checkpoint_the_way_out_is_named(forge, tmp_path):
    out = tmp_path / "run"
    fault = {"at": "step", "number": 8, "does": "kill"}
    assert forge.run(*words_of(forge, out), fault=fault)[0] == 137
    for path in (out / "checkpoints").glob("step-*/training.json"):
        path.write_text("[]")
    code, log, _ = forge.run(*words_of(forge, out))
    assert code == 4 and "--force" in log and "Traceback" not in log


def test_c8_a_second_process_is_kept_out_and_a_dead_one_locks_nobody_out(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from charlm import storage\n"
        "with storage.locked(Path(sys.argv[1])):\n"
        "    print('locked', flush=True); time.sleep(60)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        assert storage.is_locked(tmp_path)
        with (
            pytest.raises(UsageError, match=f"in use by process {process.pid}"),
            storage.locked(tmp_path),
        ):
            pass
        process.kill()
    with storage.locked(tmp_path):
        assert storage.is_locked(tmp_path)
    assert not storage.is_locked(tmp_path) and list(tmp_path.iterdir()) == []
    assert not (tmp_path.parent / f".{tmp_path.name}.lock").exists()


def test_c8_of_processes_that_begin_at_once_one_is_let_in(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from charlm.errors import UsageError; from charlm.runs.place import Place\n"
        "place = Place(Path(sys.argv[1]))\n"
        "print(flush=True); sys.stdin.readline()\n"
        "try:\n"
        "    with place.opened(): print('in', flush=True); sys.stdin.readline()\n"
        "except UsageError: print('out', flush=True)\n"
    )
    for number in range(4):
        words = [sys.executable, "-c", code, str(tmp_path / str(number))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        children = [subprocess.Popen(words, text=True, **pipes) for _ in range(3)]
        for child in children:
            child.stdout.readline()
        for child in children:
            child.stdin.write("\n")
            child.stdin.flush()
        said = [child.stdout.readline() for child in children]  # before the one leaves
        told = [child.communicate("\n", timeout=20)[1] for child in children]
        assert sorted(said) == ["in\n", "out\n", "out\n"], (said, told)


def checkpoint(step, scheduled=True):
    import torch

    from charlm.training.checkpoints import Checkpoint

    state = {"step": step, "scheduled": scheduled, "seconds": 0.0, "progress": {}}
    weights = {"weight": torch.full((3,), float(step))}
    return Checkpoint(state, dict.fromkeys(("model", "optimizer", "carried"), weights))


def steps(folder):
    return [int(path.name[5:]) for path in Checkpoints(folder).finished()]


def test_c9_the_newest_two_stay_and_the_newest_of_the_regular_course(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step, scheduled in ((10, True), (20, True), (30, True), (31, False), (32, False)):
        checkpoints.save(checkpoint(step, scheduled))
    assert steps(tmp_path) == [32, 31, 30]
    assert checkpoints.newest_scheduled().state["step"] == 30
    assert steps(tmp_path) == [30]


def test_c9_nothing_goes_before_the_new_one_is_verified(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    for step in (10, 20):
        checkpoints.save(checkpoint(step))
    original = system.write

    def lying_disk(stream, data, path):
        original(stream, bytes(len(data)), path)

    monkeypatch.setattr(system, "write", lying_disk)
    with pytest.raises(DiskError):
        checkpoints.save(checkpoint(30))
    monkeypatch.undo()
    assert {10, 20} <= set(steps(tmp_path))
    assert checkpoints.newest().state["step"] == 20


def test_c9_a_checkpoint_saved_again_is_there_whenever_the_process_dies(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; import torch\n"
        "from charlm.storage import system\n"
        "from charlm.training.checkpoints import Checkpoint, Checkpoints\n"
        "def save(value):\n"
        "    state = {'step': 10, 'scheduled': value == 1, 'seconds': 0.0, 'progress': {}}\n"
        "    weights = {'weight': torch.full((3,), float(value))}\n"
        "    parts = dict.fromkeys(('model', 'optimizer', 'carried'), weights)\n"
        "    Checkpoints(Path(sys.argv[1])).save(Checkpoint(state, parts))\n"
        "save(1)\n"
        "for number in range(1, 60):\n"
        "    if (pid := os.fork()) == 0:\n"
        "        count = [0]\n"
        "        def kill(*_):\n"
        "            count[0] += 1\n"
        "            if count[0] == number: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        system.observer = kill\n"
        "        save(number + 1); os._exit(0)\n"
        "    code = os.waitpid(pid, 0)[1]\n"
        "    checkpoints = Checkpoints(Path(sys.argv[1]))\n"
        "    checkpoints.clean()\n"
        "    found = checkpoints.newest()\n"
        "    assert found.state['step'] == 10 and found.state['scheduled'], number\n"
        "    assert float(found.tensors['model']['weight'][0]) in range(1, number + 2)\n"
        "    if code == 0: break\n"
        "assert code == 0 and number > 20, number\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_c9_a_return_passes_a_damaged_checkpoint_over(tmp_path):
    told = []
    checkpoints = Checkpoints(tmp_path, told.append)
    for step in (10, 20):
        checkpoints.save(checkpoint(step))
    (tmp_path / "step-000000020" / "model.safetensors").write_bytes(b"")
    assert checkpoints.newest_scheduled().state["step"] == 10 and "step-000000020" in told[0]


def test_c11_contents_reach_the_disk_before_names(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(system, "observer", lambda name, path: seen.append((name, path.name)))
    with storage.new_directory(tmp_path / "model") as writer:
        writer.write_text("a.txt", "x")
    order = [entry for entry in seen if entry[0] in ("fsync", "rename")]
    assert order.index(("fsync", "a.txt")) < order.index(("rename", "a.txt"))
    assert order.index(("rename", "a.txt")) < order.index(("fsync", "MANIFEST.json"))
    assert order.index(("rename", "MANIFEST.json")) < order.index(("rename", "model"))
    assert order[-1] == ("fsync", tmp_path.name)


@pytest.mark.parametrize("name", ["with space", "naïve 🎉", "n" * 255])
def test_c12_a_run_may_have_any_name(forge, reference, tmp_path, name):
    goes_on(forge, tmp_path / name, reference)


def test_c12_what_is_not_a_run_is_never_replaced(forge, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("keep me")
    words = ["train", forge.folder / "book.txt", *SMALL, "--out", tmp_path / "letters"]
    for extra in ([], ["--force"], ["--resume"]):
        code, log, _ = forge.run(*words, *extra)
        assert code == 2 and "Traceback" not in log, log
    assert (tmp_path / "letters" / "dear.txt").read_text() == "keep me"


def test_c13_checkpoints_are_ordered_by_step_and_not_by_the_clock(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (20, 10):
        checkpoints.save(checkpoint(step))
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0) if path.name.endswith("20") else None)
    assert checkpoints.newest().state["step"] == 20


def test_a_replaced_run_comes_back_if_nothing_comes_of_the_new_one(forge, reference, tmp_path):
    out = tmp_path / "run"
    words = [*words_of(forge, out)[:-1], "--force"]
    assert forge.run(*words)[0] == 0
    fault = {"at": "loss", "number": 1, "does": "ENOMEM"}
    assert forge.run(*words, fault=fault)[0] != 0
    assert outcome(out) == reference


def test_d6_a_second_signal_leaves_at_once_with_the_last_checkpoint_whole(forge, tmp_path):
    out = tmp_path / "run"
    fault = {"at": "step", "number": 8, "does": "SIGINT twice"}
    code, log, fired = forge.run(*words_of(forge, out), fault=fault)
    assert code == 130 and fired and "Traceback" not in log, log
    assert "saving what was learned" in log
    assert log.endswith("stopped by SIGINT; the same command goes on from what is saved\n")
    assert steps(out / "checkpoints")[0] == 6, "nothing was saved any more"
    assert Checkpoints(out / "checkpoints").newest() is not None


def test_info_verify_names_what_is_damaged(forge, tmp_path):
    out = tmp_path / "run"
    assert forge.run(*words_of(forge, out))[0] == 0
    code, log, _ = forge.run("info", out, "--verify", "--json")
    assert code == 0 and json.loads(log)["verified"] is True
    with (out / "README.md").open("r+b") as card:
        card.write(b"!!!")
    code, log, _ = forge.run("info", out, "--verify")
    assert code == 4 and "README.md is damaged" in log


def test_the_same_forced_command_goes_on_after_a_kill_before_its_first_step(
    forge, reference, tmp_path
):
    out = tmp_path / "run"
    words = [*words_of(forge, out)[:-1], "--force"]
    assert forge.run(*words)[0] == 0
    for number in range(1, 12):  # the old run stands aside, and the new one is nothing yet
        fault = {"at": "operation", "number": number, "does": "kill"}
        assert forge.run(*words, fault=fault)[0] == 137
        assert forge.run("info", out)[0] == 0 or storage.waits_replaced(out)
    assert forge.run(*words)[0] == 0 and outcome(out) == reference
    assert sorted(path.name for path in tmp_path.iterdir() if "lock" not in path.name) == ["run"]


def test_a_forced_run_that_fails_gives_back_the_unfinished_one_that_it_was_to_replace(
    forge, tmp_path
):
    out = tmp_path / "run"
    words = [*words_of(forge, out)[:-1], "--force"]
    assert forge.run(*words)[0] == 0
    kill = {"at": "step", "number": 8, "does": "kill"}
    assert forge.run(*words, fault=kill)[0] == 137
    (out / "mark").write_text("of the unfinished run")
    assert forge.run("train", "no-such-text", *words[2:])[0] == 3
    assert (out / "mark").exists() and steps(out / "checkpoints")[0] == 6


def test_prepare_never_removes_what_it_did_not_make(forge, tmp_path):
    out, book = tmp_path / "run", forge.folder / "book.txt"
    words = [*words_of(forge, out)[:-1], "--force"]
    assert forge.run(*words)[0] == 0
    for number in (3, 5, 7):
        fault = {"at": "operation", "number": number, "does": "kill"}
        assert forge.run(*words, fault=fault)[0] == 137
        code, log, _ = forge.run("prepare", book, "--out", out)
        assert code == 2 and "--force" in log, log
        code, log, _ = forge.run("prepare", book, "--out", out, "--force")
        assert code == 2 and "will not be replaced" in log, log
        assert forge.run("info", out, "--verify")[0] == 0 or storage.waits_replaced(out)


def test_c8_a_directory_of_two_names_has_one_lock(forge, tmp_path):
    (tmp_path / "link").symlink_to("run")
    (tmp_path / "run").mkdir()
    with storage.locked(tmp_path / "run"):
        code, log, _ = forge.run(*words_of(forge, tmp_path / "link"))
    assert code == 2 and "in use" in log, log


def test_c9_without_a_whole_checkpoint_to_return_to_all_stay(tmp_path):
    checkpoints = Checkpoints(tmp_path, print)
    checkpoints.save(checkpoint(10))
    checkpoints.save(
        Checkpoint(checkpoint(17).state | {"scheduled": False}, checkpoint(17).tensors)
    )
    (tmp_path / "step-000000010" / "model.safetensors").write_bytes(b"")
    assert checkpoints.newest_scheduled() is None
    assert [path.name for path in checkpoints.finished()] == ["step-000000017", "step-000000010"]


def test_a_working_directory_that_is_gone_is_not_called_the_output(tmp_path):
    words = [sys.executable, "-m", "charlm", "check", "book.txt"]
    script = 'mkdir gone; cd gone; rmdir ../gone; exec "$@"'
    command = ["sh", "-c", script, "sh", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode in (3, 5) and "Traceback" not in done.stderr, done.stderr
    assert "output" not in done.stderr
