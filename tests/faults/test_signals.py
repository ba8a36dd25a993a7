"""A signal ends charlm at once, in one line, with its own exit code, whatever it is doing."""

import pytest

from tests.faults.soak import signal_in_phase, write_long_text


@pytest.fixture(scope="session")
def folder(forge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("signals")
    write_long_text(folder / "long.txt", 30_000_000)
    words = ["train", forge.folder / "book.txt", "--steps", 5, "--hidden", 16, "--threads", 1]
    code, log, _ = forge.run(*words, "--out", folder / "model")
    assert code == 0, log
    return folder


@pytest.fixture(autouse=True)
def shared_cache(folder, monkeypatch):
    """Prepare the built-in text once, for the phases that come long after it."""
    monkeypatch.setenv("CHARLM_CACHE", str(folder / "cache"))


@pytest.mark.parametrize(
    "phase", ["importing", "tokenizer training", "encoding", "validating", "saving", "sampling"]
)
def test_d5_sigterm_in_every_phase(folder, phase):
    ending = signal_in_phase(phase, 0.1, folder, folder / "long.txt", folder / "model")
    assert ending == "143"
