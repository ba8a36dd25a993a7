"""A signal ends charlm at once, in one line, with its own exit code, whatever it is doing."""

import subprocess
import sys

import pytest

from tests.faults.soak import signal_in_phase, write_long_text


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signals")
    write_long_text(folder / "long.txt", 30_000_000)
    command = [sys.executable, "-m", "charlm", "train", "--steps", "5", "--hidden", "16"]
    command += ["--out", str(folder / "model")]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(
    "phase", ["importing", "tokenizer training", "encoding", "validating", "saving", "sampling"]
)
def test_d5_sigterm_in_every_phase(folder, phase):
    ending = signal_in_phase(phase, 0.1, folder, folder / "long.txt", folder / "model")
    assert ending == "143"
