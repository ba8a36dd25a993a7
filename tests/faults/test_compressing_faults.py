"""compress and decompress meet every fault with a sentence, and leave no half of OUT behind."""

import errno
import io
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from charlm.cli.main import main
from charlm.storage import system

TEXT = b"the cat sat on the mat and the dog sat on the log\n"
SMALL = ["--hidden", "12", "--embed", "8", "--batch", "4", "--bptt", "12", "--lr", "0.01"]
SMALL += ["--threads", "1", "--steps", "12", "--tokenizer", "char"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compressing")
    (folder / "book.txt").write_bytes(TEXT * 30)
    (folder / "file").write_bytes(TEXT)
    assert main(["train", str(folder / "book.txt"), "--out", str(folder / "model"), *SMALL]) == 0
    assert main(["compress", *(str(folder / name) for name in ("model", "file", "packed"))]) == 0
    return folder


@pytest.fixture
def refused(folder, tmp_path, charlm_here):
    """Run a command line that must fail; check its code and words, and that it leaves nothing."""

    def run(code, *words, says):
        before = sorted(tmp_path.iterdir())
        got, err = charlm_here(*words)
        assert got == code and says in err and err.startswith("error: "), err
        assert "Traceback" not in err and len(err.splitlines()) <= 5
        assert sorted(tmp_path.iterdir()) == before
        return err

    return run


def test_a_file_comes_back_by_the_command_line(folder, tmp_path, charlm_here, capsys):
    code, err = charlm_here("compress", folder / "model", folder / "file", tmp_path / "packed")
    assert code == 0 and err.startswith("50 -> ") and "bits per byte" in err
    code, err = charlm_here("decompress", folder / "model", tmp_path / "packed", tmp_path / "back")
    assert code == 0 and err.endswith("-> 50 bytes\n")
    assert (tmp_path / "back").read_bytes() == TEXT
    words = ["compress", folder / "model", folder / "file", tmp_path / "packed", "--json", "-f"]
    assert main([str(word) for word in words]) == 0
    out, err = capsys.readouterr()
    value = json.loads(out)
    assert err == "" and value["compressed_bytes"] == (tmp_path / "packed").stat().st_size
    assert {"bytes", "compressed_bytes", "bits_per_byte", "model_bytes", "seconds"} <= set(value)
    words = ["decompress", folder / "model", tmp_path / "packed", tmp_path / "back", "--json", "-f"]
    assert main([str(word) for word in words]) == 0
    assert json.loads(capsys.readouterr()[0])["bytes"] == 50


def test_standard_streams_are_files_too(folder, monkeypatch, capfdbinary):
    model = str(folder / "model")
    packed = (folder / "packed").read_bytes()
    for command, given, expected in (("compress", TEXT, packed), ("decompress", packed, TEXT)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert main([command, model, "-", "-"]) == 0
        sys.stdout.flush()
        assert capfdbinary.readouterr().out == expected


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_wrong_arguments_are_2(folder, tmp_path, refused, command):
    model, file, out = folder / "model", folder / "packed", tmp_path / "out"
    refused(2, command, model, file, says="OUT")
    refused(2, command, model, file, tmp_path, says="is a directory")
    refused(2, command, model, file, "/dev/null", "--force", says="no regular file")
    refused(2, command, model, file, "-", "--json", says="standard output")
    out.write_bytes(b"mine")
    refused(2, command, model, file, out, says="is already there")
    assert out.read_bytes() == b"mine"
    assert main([command, str(model), str(file), str(out), "--force"]) == 0
    assert out.read_bytes() != b"mine"


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_files_that_cannot_be_read_are_3_and_models_4(folder, tmp_path, refused, command):
    model, file, out = folder / "model", folder / "packed", tmp_path / "out"
    refused(3, command, model, folder / "none", out, says="No such file")
    nowhere = tmp_path / "no" / "out"
    refused(5, command, model, folder / "none", nowhere, says="there is no directory")
    refused(3, command, model, folder, out, says="directory")
    refused(3, command, model, "a\0b", out, says="cannot read")
    refused(4, command, folder, file, out, says="MANIFEST.json")
    refused(4, command, folder / "none", file, out, says="there is no model")


def test_unknown_predictors_and_closed_words_are_2(folder, tmp_path, refused, capsys):
    out = tmp_path / "out"
    refused(
        2, "compress", folder / "model", folder / "file", out, "--predictor", "count", says="counts"
    )
    closed = folder / "closed"
    words = ["--tokenizer", "word", "--unknown", "unk", "--out", str(closed), "--force"]
    assert main(["train", str(folder / "book.txt"), *SMALL[:-2], *words]) == 0
    capsys.readouterr()
    refused(2, "compress", closed, folder / "file", out, says="cannot give a text back")


def test_places_that_cannot_be_written_are_5(folder, tmp_path, refused):
    refused(
        5, "compress", folder / "model", folder / "file", folder / "no" / "out", says="cannot write"
    )
    (tmp_path / "file").write_bytes(b"")
    out = tmp_path / "file" / "out"
    refused(5, "compress", folder / "model", folder / "file", out, says="cannot write")


@pytest.mark.parametrize("command, given", [("compress", "file"), ("decompress", "packed")])
@pytest.mark.parametrize("operation", ["open", "write", "fsync", "rename"])
def test_a_full_disk_is_5_and_leaves_what_was_there(
    folder, tmp_path, refused, monkeypatch, command, given, operation
):
    def full(name, path):
        if name == operation:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "out").write_bytes(b"mine")
    monkeypatch.setattr(system, "observer", full)
    words = [command, folder / "model", folder / given, tmp_path / "out", "--force"]
    assert "bytes are free" in refused(5, *words, says="No space left")
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_damaged_and_foreign_files_are_3(folder, tmp_path, charlm_here):
    packed, generator = (folder / "packed").read_bytes(), random.Random(5)
    spoiled = [packed[:size] for size in (0, 1, 3, 4, 5, 20, 40, len(packed) - 1)]
    spoiled += [TEXT, packed + b"\0", packed + packed, bytes(100), packed[::-1]]
    for _ in range(40):
        place = generator.randrange(len(packed))
        flipped = bytearray(packed)
        flipped[place] ^= 1 << generator.randrange(8)
        spoiled.append(bytes(flipped))
    for number, data in enumerate(spoiled):
        (tmp_path / "spoiled").write_bytes(data)
        code, err = charlm_here(
            "decompress", folder / "model", tmp_path / "spoiled", tmp_path / "o"
        )
        assert code == 3 and err.startswith("error: ") and "spoiled" in err, (number, err)
        assert [path.name for path in tmp_path.iterdir()] == ["spoiled"]


def test_a_signal_leaves_nothing(folder, tmp_path):
    (tmp_path / "long").write_bytes(TEXT * 20_000)
    command = [sys.executable, "-m", "charlm", "compress", str(folder / "model")]
    command += [str(tmp_path / "long"), str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130 and process.stderr.read() == "stopped by SIGINT\n"
    process.stderr.close()
    assert [path.name for path in tmp_path.iterdir()] == ["long"]
