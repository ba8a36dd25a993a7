"""A Hub that is forbidden, refuses or falls silent: one sentence, and no half of a text is used."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import datasets
import huggingface_hub
import pytest

from charlm.text import hub
from charlm.text.store import open_store

http = importlib.import_module(type(huggingface_hub.get_session()).__module__.split(".")[0])
TEXTS = [f"the cat sat on mat {number}\n" for number in range(12)]


@pytest.fixture
def answered(charlm_here, tmp_path):
    """Prepare a dataset of a Hub that answers every request in the same way."""

    def run(answer):
        transport = http.MockTransport(answer)
        huggingface_hub.set_client_factory(lambda: http.Client(transport=transport))
        code, told = charlm_here("prepare", "hf:some/thing", "--out", tmp_path / "store")
        assert not (tmp_path / "store").exists()
        assert code == 3 and "Traceback" not in told and "'some/thing'" in told
        assert [line.split(":")[0] for line in told.splitlines()] == ["error", "hint"]
        return told

    yield run
    huggingface_hub.set_client_factory(http.Client)


def test_g9_offline_nothing_is_asked_and_it_is_said(tmp_path):
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from charlm.cli.main import main\n"
        "sys.exit(main(['train', 'hf:some/thing', '--out', sys.argv[1]]))"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 3 and "HF_HUB_OFFLINE forbids it" in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 2 and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "status, headers",
    [
        (404, {"X-Error-Code": "RepoNotFound"}),
        (401, {"X-Error-Message": "Invalid username or password."}),
        (403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Ask for access first."}),
    ],
)
def test_g9_a_dataset_that_is_not_for_you_is_told(answered, status, headers):
    told = answered(lambda request: http.Response(status, headers=headers))
    assert "there is no dataset" in told and "not for everyone" in told


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_g9_a_hub_that_refuses_is_told(answered, status):
    headers = {"X-Error-Message": "Invalid credentials in Authorization header"}
    told = answered(lambda request: http.Response(status, headers=headers))
    assert "the Hub does not give the dataset" in told and "HF_TOKEN" in told


@pytest.mark.parametrize(
    "fault", [http.ConnectError("Name or service not known"), http.ReadTimeout("timed out")]
)
def test_g9_a_hub_that_is_silent_is_told(answered, fault):
    def answer(request):
        assert max(request.extensions["timeout"].values()) <= hub.SECONDS
        raise fault

    told = answered(answer)
    assert "cannot reach the Hub" in told and str(fault) in told and "check the network" in told


@pytest.mark.parametrize("body", [b"<html>please log in</html>", b"", b"[]", b"{}", b"\xff\x00"])
def test_g9_a_hub_that_speaks_in_tongues_is_told(answered, body):
    answered(lambda request: http.Response(200, content=body))


class Info:
    sha = "0123abc"


@pytest.fixture
def torn(monkeypatch):
    """Give a Hub whose dataset ends early, in an error or without, after so many rows in all."""

    def tear(rows, fault=None):
        left = [rows]

        def stream():
            for text in TEXTS:
                if left[0] == 0:
                    if fault is None:
                        return
                    raise fault
                left[0] -= 1
                yield {"text": text}

        def load(*_, **options):
            assert options["streaming"] and options["revision"] == Info.sha
            return datasets.IterableDataset.from_generator(stream)

        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: Info())
        monkeypatch.setattr(datasets, "load_dataset", load)

    return tear


ENDS = [
    (ConnectionError("connection reset by peer"), [0, 5, 12, 17, 30]),
    (None, [0, 17, 30]),  # an end in the first walk is the end
]


@pytest.mark.parametrize("fault, ends", ENDS, ids=["error", "silence"])
def test_g9_half_of_a_dataset_is_never_used(charlm_here, torn, tmp_path, fault, ends):
    cache = Path(os.environ["CHARLM_CACHE"])
    words = ["train", "hf:some/thing", "--tokenizer", "char", "--steps", 1, "--hidden", 8]
    words += ["--out", tmp_path / "run"]
    for rows in ends:
        torn(rows, fault)
        code, told = charlm_here(*words)
        assert code == 3 and len(told.splitlines()) <= 5 and "hf:some/thing" in told, told
        assert not (tmp_path / "run").exists() and list(cache.iterdir()) == []
    torn(1000)
    code, told = charlm_here(*words)
    [directory] = cache.iterdir()
    assert code == 0 and open_store(directory).info["read"]["rows"] == len(TEXTS), told
