"""`charlm serve` as a process: what it says, what it answers, how it ends (F11, F15, F19)."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
import pytest

import charlm
from charlm.cli.main import main

TEXT = "the cat sat on the mat and the dog sat on the log too.\n" * 60
SCORED = 100


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    (folder / "book.txt").write_text(TEXT)
    small = ["--steps", "8", "--hidden", "12", "--embed", "8", "--batch", "4", "--bptt", "16"]
    out = str(folder / "tiny")
    assert main(["train", str(folder / "book.txt"), "--out", out, *small, "--threads", "1"]) == 0
    return out


@contextlib.contextmanager
def serving(model, *words, environment=None):
    """Run the command; give the process and its address."""
    command = [sys.executable, "-m", "charlm", "serve", model, "--port", "0", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        said = process.stderr.readline()
        if "compiling" in said:
            said += process.stderr.readline()
        found = re.search(r"http://[^ ]+", said)
        assert found, said + process.stderr.read()
        yield process, found.group()
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def address(model):
    with serving(model) as (_, address):
        yield address


def test_threads_are_limited_before_anything_multiplies(model, monkeypatch):
    found = []

    def serve(engine, *others, sockets, **options):
        engine.close(0)
        for each in sockets:
            each.close()
        found.append(os.environ.get("OPENBLAS_NUM_THREADS"))

    monkeypatch.setattr("charlm.serving.server.serve", serve)
    for words in (["--threads", "1"], []):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "")  # so that it is as before in the end
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
        assert main(["serve", model, "--port", "0", *words]) == 0
    assert found == ["1", None]


def ended(process, seconds=25):
    """Give exit code, output and what else was told."""
    output, told = process.communicate(timeout=seconds)
    return process.returncode, output, told


def test_f19_sums_over_http_are_those_of_the_model_in_process(model, address):
    lm = charlm.load(model)
    predictor = lm.predictor
    dice = random.Random(1)
    size = lm.tokenizer.vocab_size
    with httpx.Client(base_url=address, timeout=30) as client:
        for number in range(SCORED):
            ids = [dice.randrange(size) for _ in range(dice.randint(2, 60))]
            body = {"model": "tiny", "prompt": ids, "max_tokens": 1, "logprobs": 1, "echo": True}
            answer = client.post("/v1/completions", json=body | {"temperature": 0}).json()
            logprobs = answer["choices"][0]["logprobs"]
            assert len(logprobs["token_logprobs"]) == len(ids) + 1, number
            nats = predictor.score(np.array([ids]), predictor.start(1))[0][0]
            total = sum(logprobs["token_logprobs"][1:-1])
            assert total == pytest.approx(-float(nats[1:].sum()), rel=1e-5)


def test_f19_a_text_is_scored_as_its_ids_are(model, address):
    ids = charlm.load(model).tokenizer.encode("the cat sat").tolist()
    body = {"max_tokens": 1, "logprobs": 1, "echo": True, "temperature": 0}
    one, other = (
        httpx.post(f"{address}v1/completions", json=body | {"prompt": prompt}).json()["choices"]
        for prompt in ("the cat sat", ids)
    )
    assert one == other


def test_what_is_asked_for_is_what_the_library_gives(model, address):
    lm = charlm.load(model)
    body = {"prompt": "the ", "max_tokens": 20, "seed": 3, "n": 2, "temperature": 0.9, "top_k": 9}
    answer = httpx.post(f"{address}v1/completions", json=body).json()
    samples = lm.samples("the ", count=2, max_tokens=20, seed=3, temperature=0.9, top_k=9)
    assert [c["text"] for c in answer["choices"]] == [sample.text for sample in samples]
    for wish in ({"regex": "[a-d]{3}[e-h ]+"}, {"prefix": "cats"}, {"words": ["cat", "dog"]}):
        answer = httpx.post(f"{address}v1/completions", json=body | wish).json()
        rules = {name: body[name] for name in ("max_tokens", "seed", "temperature", "top_k")}
        samples = lm.samples("the ", count=2, **rules, **wish)
        assert [c["text"] for c in answer["choices"]] == [sample.text for sample in samples]
    answer = httpx.post(f"{address}v1/suggest", json={"text": "the c", "k": 3}).json()
    found = lm.session().suggest("the c", k=3).to_json()  # as the server has one for each text
    assert [s["word"] for s in answer["suggestions"]] == [s["word"] for s in found["suggestions"]]
    for one, other in zip(answer["suggestions"], found["suggestions"], strict=True):
        assert one["probability"] == pytest.approx(other["probability"], rel=1e-4)


def test_the_page_is_there(address):
    answer = httpx.get(address)
    assert answer.is_success and "<html" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
def test_f15_a_signal_ends_an_idle_server_at_once(model, number, code):
    with serving(model) as (process, address):
        with httpx.Client(base_url=address) as client:
            assert client.get("/health").is_success
            process.send_signal(getattr(signal, number))
            began = time.monotonic()
            found, output, told = ended(process)
        assert found == code and time.monotonic() - began < 5
        assert output == "" and f"stopped by {number}" in told and "Traceback" not in told


def test_f15_a_stream_is_finished_or_cut_when_the_server_stops(model):
    with serving(model, "--stop-timeout", "2", "--max-tokens-limit", "1000000") as (
        process,
        address,
    ):
        found = {}

        def ask(name, tokens):
            body = {"prompt": "the ", "max_tokens": tokens, "stream": True, "temperature": 0}
            with httpx.stream("POST", f"{address}v1/completions", json=body, timeout=30) as answer:
                found[name] = []
                for piece in answer.iter_text():
                    found[name].append(piece)

        threads = [
            threading.Thread(target=ask, args=each)
            for each in (("long", 1_000_000), ("short", 400))
        ]
        for thread in threads:
            thread.start()
        while len(found) < 2 or not all(found.values()):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        for thread in threads:
            thread.join()
        code, _, told = ended(process)
        assert code == 143 and time.monotonic() - began < 8 and "Traceback" not in told
        assert "".join(found["short"]).endswith("data: [DONE]\n\n")
        last = "".join(found["long"]).rpartition("data: ")[2]
        assert json.loads(last)["error"]["code"] == "stopping"


def test_f15_the_second_signal_leaves_at_once(model):
    with serving(model, "--max-tokens-limit", "1000000") as (process, address):
        body = {"prompt": "a", "max_tokens": 1_000_000, "stream": True, "temperature": 0}
        with httpx.stream("POST", f"{address}v1/completions", json=body, timeout=30) as answer:
            next(answer.iter_lines())
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert ended(process)[0] == 143 and time.monotonic() - began < 4


def told_by(*words, **variables):
    """Run the command line to its end; give its exit code and what it told."""
    import os

    environment = {name: value for name, value in os.environ.items() if name != "CHARLM_API_KEY"}
    done = subprocess.run(
        [sys.executable, "-m", "charlm", "serve", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment | variables,
    )
    assert done.stdout == "" and "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_f11_it_does_not_listen_to_others_without_a_key(model):
    code, told = told_by(model, "--host", "0.0.0.0", "--port", "0")
    assert code == 2 and "there is no key" in told and "CHARLM_API_KEY" in told
    code, told = told_by(model, "--host", "0.0.0.0", "--port", "0", CHARLM_API_KEY="")
    assert code == 2 and "holds no key" in told


def test_a_port_that_is_taken_is_said_in_a_sentence(model):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, told = told_by(model, "--port", port)
    assert code == 2 and f"port {port} of 127.0.0.1 is in use already" in told


def test_other_mistakes_are_said_in_a_sentence(model, tmp_path):
    assert told_by(str(tmp_path), "--port", "0")[0] == 4
    for words in (("--port", "70000"), ("--queue", "0"), ("--ping", "-1"), ("--prot", "1")):
        assert told_by(model, *words)[0] == 2
    code, told = told_by(model, "--api-key-file", str(tmp_path / "absent"))
    assert code == 2 and "cannot read the key" in told


def test_no_flag_takes_a_key():
    code, told = told_by("model", "--api-key", "secret")
    assert code == 2 and "--api-key-file" in told


def test_without_its_libraries_it_says_what_to_install(model):
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from charlm.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, "serve", model, "--port", "0"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "pip install 'charlm-toolkit[serve]'" in done.stderr
