"""`charlm serve` as people start and stop it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import httpx
import pytest


def start(model, *words, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "charlm", "serve", str(model), *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def refusal(model, *words, **environment):
    process = start(model, *words, **environment)
    out, err = process.communicate(timeout=60)
    assert out == "" and "Traceback" not in err
    return process.returncode, err


@pytest.fixture
def served(small_model):
    process = start(small_model.directory, "--port", "0")
    line = process.stderr.readline()
    url = next(word for word in line.split() if word.startswith("http://"))
    yield process, url
    process.kill()
    process.communicate()


def test_it_says_where_it_listens_and_answers_there(served):
    _, url = served
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url + "/v1/models", timeout=20) as answer:
        assert json.load(answer)["data"][0]["id"] == "small"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it(served, number, code):
    process, _ = served
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Traceback" not in err


def test_a_stream_that_is_being_written_is_finished_first(served):
    process, url = served
    pieces = []
    reading = threading.Event()

    def read():
        body = {"prompt": "x", "max_tokens": 600, "stream": True, "seed": 1}
        with httpx.stream("POST", url + "/v1/completions", json=body, trust_env=False) as answer:
            for line in answer.iter_lines():
                pieces.append(line)
                reading.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert reading.wait(20)
    process.send_signal(signal.SIGTERM)
    thread.join(20)
    process.communicate(timeout=20)
    assert process.returncode == 143
    assert [line for line in pieces if line][-1] == "data: [DONE]"


def test_an_address_that_others_reach_is_refused_without_a_key(small_model):
    code, err = refusal(small_model.directory, "--host", "0.0.0.0", CHARLM_API_KEY="")
    assert code == 2 and "holds no key" in err
    os.environ.pop("CHARLM_API_KEY", None)
    code, err = refusal(small_model.directory, "--host", "0.0.0.0")
    assert code == 2 and "CHARLM_API_KEY" in err and len(err.splitlines()) <= 5


def test_a_port_in_use_is_said(small_model):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        code, err = refusal(small_model.directory, "--port", str(other.getsockname()[1]))
    assert code == 2 and "in use" in err and "--port" in err


def test_mistakes_get_a_sentence(small_model, tmp_path):
    model = small_model.directory
    assert refusal(model, "--port", "70000")[0] == 2
    assert refusal(model, "--queue", "0")[0] == 2
    assert refusal(tmp_path / "none")[0] == 4
    code, err = refusal(model, "--api-key-file", str(tmp_path / "none"))
    assert code == 3 and "cannot read" in err
    (tmp_path / "empty").write_text("\n")
    assert refusal(model, "--api-key-file", str(tmp_path / "empty"))[0] == 2
