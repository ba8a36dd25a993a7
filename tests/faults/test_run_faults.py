"""What else can go wrong on the way: other signals, closed pipes, odd machines, odd options."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import charlm
from charlm.cli.main import main
from charlm.errors import UsageError
from tests.faults.forge import outcome

PACKAGE = Path(charlm.__file__).parent
SMALL = ["--hidden", 12, "--embed", 8, "--batch", 4, "--bptt", 12, "--lr", 0.01, "--threads", 1]


def charlm_process(*words, environment=None, **keywords):
    command = [sys.executable, "-m", "charlm", *map(str, words)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (environment or {}),
        **keywords,
    )


def run(*words, **keywords):
    with charlm_process(*words, **keywords) as process:
        out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return process.returncode, out, err


@pytest.fixture(scope="session")
def model(forge):
    out = forge.folder / "model-run-faults"
    words = ["train", forge.folder / "book.txt", *SMALL, "--steps", 9, "--out", out]
    assert forge.run(*words)[0] == 0
    return out


def test_d7_signals_to_the_whole_group_end_it_once(tmp_path, text_file):
    words = ["train", text_file, "--minutes", 5, *SMALL, "--out", tmp_path / "run"]
    with charlm_process(*words, start_new_session=True) as process:
        log = tmp_path / "run" / "metrics.jsonl"
        deadline = time.monotonic() + 60
        while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 143 and "Traceback" not in err


INTERRUPTED = """
import os, signal, sys

class Finder:
    def find_spec(name, path=None, target=None):
        if name == "charlm.cli.commands":
            os.kill(os.getpid(), getattr(signal, sys.argv[1]))

sys.meta_path.insert(0, Finder)
from charlm.cli.start import start
start()
"""


@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_d5_a_signal_while_the_program_is_loaded_is_a_line(name, code):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, name], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code and done.stderr == f"stopped by {name}\n"


def test_d5_a_hang_up_that_is_ignored_stays_so(forge, tmp_path):
    words = ["train", forge.folder / "book.txt", *SMALL, "--steps", 100_000]
    command = ["nohup", sys.executable, "-m", "charlm", *map(str, words)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    out = tmp_path / "run"
    with subprocess.Popen([*command, "--out", str(out)], text=True, **pipes) as process:
        deadline = time.monotonic() + 60
        while not (out / "metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        time.sleep(1)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 143


def test_a_run_in_use_is_not_gone_on_with_elsewhere(forge, tmp_path):
    words = ["train", forge.folder / "book.txt", *SMALL]
    with charlm_process(*words, "--minutes", 5, cwd=tmp_path) as process:
        log = tmp_path / "runs" / "book" / "metrics.jsonl"
        deadline = time.monotonic() + 60
        while not log.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        code, _, err = run(*words, "--resume", cwd=tmp_path)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert code == 2 and "in use" in err and not (tmp_path / "runs" / "book-2").exists()


@pytest.mark.parametrize("words", [["train", "{}"], ["check", "{}"], ["check", "-"]])
def test_d15_without_a_standard_input(text_file, tmp_path, words):
    words = [word.format(text_file) for word in words]
    if words[0] == "train":
        words += [*SMALL, "--steps", 2, "--out", tmp_path / "run"]
    shell = 'exec "$@" <&-'
    command = ["sh", "-c", shell, "sh", sys.executable, "-m", "charlm", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    assert done.returncode == (3 if "-" in words else 0), done.stderr


def test_d15_a_prompt_from_a_closed_standard_input(model):
    command = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "charlm"]
    command += ["generate", str(model), "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (3, "error: there is no standard input to read here\n")


@pytest.mark.parametrize("option", ["--valid", "--test"])
def test_standard_input_cannot_be_held_out_text(charlm_here, text_file, tmp_path, option):
    words = ["train", text_file, *SMALL, "--steps", 2, "--out", tmp_path / "run", option]
    for name in ("-", "nothing.txt"):
        code, err = charlm_here(*words, name)
        assert code == 3 and not (tmp_path / "run").exists() and "Traceback" not in err, err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_d15_output_to_a_full_disk_is_a_sentence(model, text_file):
    for words in (["check", text_file], ["generate", model, "the", "--max-tokens", "5"]):
        command = [sys.executable, "-m", "charlm", *map(str, words)]
        with open("/dev/full", "w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 5 and "Traceback" not in done.stderr, done.stderr
        assert "No space left" in done.stderr


def test_d12_a_network_too_large_for_the_machine_is_a_sentence(forge, tmp_path):
    words = ["train", forge.folder / "book.txt", "--hidden", 3_000_000, "--steps", 1]
    code, log, _ = forge.run(*words, "--out", tmp_path / "run")
    assert code == 7 and "--hidden" in log and "Traceback" not in log, log


def test_what_was_kept_of_standard_input_goes_whatever_happens(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "charlm", "check", "-", "nothing.txt"]
    options = {"input": "some text " * 100, "capture_output": True, "text": True}
    done = subprocess.run(command, env=environment, **options)
    assert done.returncode == 3 and list(tmp_path.iterdir()) == []


def test_d14_a_stream_that_nobody_reads_any_more_does_not_end_a_run(forge, tmp_path):
    words = ["train", forge.folder / "book.txt", *SMALL, "--steps", 200]
    with charlm_process(*words, "--out", tmp_path / "run") as process:
        process.stderr.readline()
        process.stderr.close()
        process.stdout.read()
    assert process.returncode == 0
    assert (tmp_path / "run" / "MANIFEST.json").exists()


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1"}, {"LC_ALL": "C"}])
def test_d15_any_terminal_will_do(model, environment):
    code, out, _ = run("generate", model, "né 🎉", "--max-tokens", 3, environment=environment)
    assert code == 0 and out.startswith("né 🎉")


def test_d16_the_same_command_gives_the_same_bytes(forge, tmp_path):
    found = []
    for name in "ab":
        words = ["train", forge.folder / "book.txt", *SMALL, "--dropout", 0.3, "--steps", 12]
        assert forge.run(*words, "--out", tmp_path / name)[0] == 0
        found.append(outcome(tmp_path / name))
    assert found[0] == found[1]


@pytest.mark.parametrize("text", ["x", "ab", "a b\nc\nd\ne\n"])
def test_d17_a_corpus_smaller_than_a_batch_trains(forge, tmp_path, text):
    (tmp_path / "tiny.txt").write_text(text)
    words = ["train", tmp_path / "tiny.txt", "--steps", 3, "--hidden", 8, "--threads", 1]
    code, log, _ = forge.run(*words, "--out", tmp_path / "run")
    assert code == 0 and "too small" in log, log


@pytest.mark.parametrize(
    "words, told",
    [
        (["train", "--learning-rat", "1"], "unknown option '--learning-rat'"),
        (["trian"], "did you mean 'train'?"),
        (["train", "--step", "1"], "did you mean '--steps'?"),
        (["train", "--steps", "many"], "invalid int value: 'many'"),
        (["train", "--save-every", "5m"], "--save-every must be a number of steps"),
        (["train", "--resume", "--force"], "cannot be given together"),
        (["generate"], "required: MODEL"),
    ],
)
def test_g1_a_mistyped_command_is_a_sentence(charlm_here, words, told):
    code, err = charlm_here(*words)
    assert code == 2 and told in err and len(err.splitlines()) <= 5, err
    assert "Traceback" not in err


def test_g1_a_mistyped_command_ends_its_process_with_2():
    code, out, err = run("trian")
    assert (code, out) == (2, "") and "did you mean 'train'?" in err


def test_g2_help_and_version_touch_neither_network_nor_disk(tmp_path):
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket = socket.create_connection = refuse\n"
        "from charlm.cli.main import main\n"
        "for words in (['--help'], ['train', '--help'], ['--version']):\n"
        "    try: main(words)\n"
        "    except SystemExit: pass\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_g3_a_missing_extra_is_named_with_its_command(tmp_path, monkeypatch):
    from charlm.text.finding import open_corpus

    (tmp_path / "a.txt.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(UsageError) as caught:
        list(open_corpus([str(tmp_path / "a.txt.zst")]).pieces())
    assert "pip install 'charlm-toolkit[zstd]'" in caught.value.hint


def test_g4_a_gpu_that_is_not_there_is_a_sentence(forge, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    words = ["train", forge.folder / "book.txt", "--device", "cuda", "--out", tmp_path / "run"]
    code, log, _ = forge.run(*words)
    assert code == 2 and "no CUDA GPU" in log and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "case", ["no home", "a home that is none", "optimized", "warnings are errors"]
)
def test_g5_odd_surroundings(tmp_path, text_file, case):
    words = ["train", text_file, *SMALL, "--steps", 2, "--out", tmp_path / "run"]
    flags = {"optimized": ["-OO"], "warnings are errors": ["-W", "error"]}.get(case, [])
    environment = {key: value for key, value in os.environ.items() if key != "CHARLM_CACHE"}
    if case == "no home":
        environment.pop("HOME", None)
    else:
        environment["HOME"] = "/dev/null/home" if case == "a home that is none" else str(tmp_path)
    environment["TMPDIR"] = str(tmp_path)
    command = [sys.executable, *flags, "-m", "charlm", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr


def test_g11_no_door_to_foreign_code():
    doors = r"import pickle|(?<!safetensors\.)torch\.load\(|os\.system\(|shell=True|yaml\.load\("
    for path in PACKAGE.rglob("*.py"):
        assert not re.search(doors, path.read_text()), path


@pytest.mark.parametrize("gone", ["pipe", "full"])
def test_d14_a_signal_to_a_run_that_nobody_listens_to_is_saved_all_the_same(tmp_path, gone):
    if gone == "full" and not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    (tmp_path / "book.txt").write_text("the cat sat on the mat\n" * 200)
    words = ["train", tmp_path / "book.txt", *SMALL, "--minutes", 5, "--out", tmp_path / "run"]
    command = [sys.executable, "-m", "charlm", *map(str, words)]
    read, write = os.pipe() if gone == "pipe" else (None, os.open("/dev/full", os.O_WRONLY))
    with subprocess.Popen(command, stdout=write, stderr=write) as process:
        os.close(write)
        if read is not None:
            os.close(read)
        log, deadline = tmp_path / "run" / "metrics.jsonl", time.monotonic() + 60
        while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 143
    saved = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))
    assert saved and saved[-1].name > "step-000000000"


@pytest.mark.parametrize(
    "words, told",
    [
        (["--minutes", "inf"], "--minutes must be a finite number"),
        (["--lr", "inf"], "--lr must be a finite number"),
        (["--seed", 10**30], "--seed must be in"),
        (["--hidden", 10**30], "--hidden must be at most"),
        (["--layers", 100_000], "--layers must be at most"),
        (["--threads", 100_000], "--threads must be at most"),
        (["--weight-decay", "-1"], "--weight-decay must be 0 or more"),
        (["--out", ""], "--out must name a directory"),
        (["--validate-every", "2"], "--validate-every must be"),
        (["--warmup", "1"], "--warmup must be"),
        (["--patience", "-1"], "--patience must be"),
    ],
)
def test_g1_numbers_beyond_all_bounds_are_refused(text_file, words, told, capfd):
    assert main(["train", str(text_file), *map(str, words)]) == 2
    assert told in capfd.readouterr().err


def test_d15_a_closed_output_takes_nothing_and_harms_nothing(model):
    for closed in (">&-", ">&- 2>&-"):
        command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "charlm"]
        command += ["generate", str(model), "the", "--max-tokens", "3"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_d15_an_error_that_nobody_can_read_keeps_its_code():
    command = [sys.executable, "-m", "charlm", "info", "nothing"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stderr=write, stdout=subprocess.DEVNULL, timeout=60)
    os.close(write)
    assert done.returncode == 4


def test_an_empty_test_text_is_refused_before_training(text_file, tmp_path, capfd):
    (tmp_path / "empty.txt").write_text(" \n")
    words = ["train", text_file, *SMALL, "--steps", 2, "--out", tmp_path / "run"]
    assert main([*map(str, words), "--test", str(tmp_path / "empty.txt")]) == 3
    assert "no text in" in capfd.readouterr().err and not (tmp_path / "run").exists()
