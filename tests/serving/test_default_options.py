"""What counts where a request does not say: the model's own generation_config.json."""

import math

import httpx
import numpy as np
import pytest

import charlm
from charlm.cli.main import main
from charlm.generation.options import SamplingOptions
from charlm.language.generating import read_own_defaults
from charlm.serving.options import ServeOptions
from charlm.serving.requests import read_completion
from tests.language.test_generating import configure
from tests.serving.test_serve_command import serving, told_by

TEXT = "the cat sat on the mat and the dog sat on the log too.\n" * 60
OWN = {"temperature": 0.3, "top_k": 5, "max_new_tokens": 23, "repetition_penalty": 1.2}


def asked(defaults, **given):
    return read_completion({"prompt": "a"} | given, ServeOptions(), "tiny", 9, defaults)


def test_a_field_that_is_given_counts_and_what_neither_gives_is_openais():
    own = {"temperature": 0.3, "top_k": 5}
    assert asked(own).options == SamplingOptions(temperature=0.3, top_k=5)
    one = asked(own, temperature=1, top_p=0.5, max_tokens=4, top_k=None)
    assert one.options == SamplingOptions(temperature=1, top_k=5, top_p=0.5)
    assert one.max_tokens == 4
    assert asked({}).options == SamplingOptions() and asked({}).max_tokens == 16
    assert asked({"temperature": 5.0}).options.temperature == 5.0  # OpenAI's limit is of requests


@pytest.mark.parametrize("most, tokens", [(1024, 16), (9, 9)])
def test_the_length_is_openais_or_what_may_be_asked_for(most, tokens):
    options = ServeOptions(max_tokens=most)
    assert read_completion({"prompt": "a"}, options, "tiny", 9, {}).max_tokens == tokens


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own-defaults")
    (folder / "book.txt").write_text(TEXT)
    small = ["--steps", "8", "--hidden", "12", "--embed", "8", "--batch", "4", "--bptt", "16"]
    model = folder / "tiny"
    words = ["train", str(folder / "book.txt"), "--out", str(model), *small, "--threads", "1"]
    assert main(words) == 0
    configure(model, **OWN)
    return model


def complete(address, **fields):
    body = {"prompt": "the ", "seed": 7} | fields
    return httpx.post(f"{address}v1/completions", json=body, timeout=30).json()


def test_the_server_writes_as_the_library_does_where_nothing_is_said(model):
    lm = charlm.load(model)
    with serving(str(model)) as (_, address):
        answer = complete(address)
        assert answer["choices"][0]["text"] == lm.generate("the ", seed=7, max_tokens=16)
        assert answer["usage"]["completion_tokens"] == 16
        text = complete(address, top_k=0, repetition_penalty=1, max_tokens=23)["choices"][0]["text"]
        assert text == lm.generate("the ", seed=7, top_k=0, repetition_penalty=1)
        ids = lm.tokenizer.encode("the dog sat").astype(np.int64)
        for more in ({"max_tokens": 0}, {"max_tokens": 1, "temperature": 0}, {}):
            scored = complete(address, prompt=ids.tolist(), echo=True, logprobs=2, **more)
            logs = scored["choices"][0]["logprobs"]["token_logprobs"][1 : len(ids)]
            nats, _ = lm.predictor.score(ids[None], lm.predictor.start(1))
            assert -math.fsum(logs) == pytest.approx(float(nats[0, 1:].sum()), rel=1e-5)


def test_openais_defaults_may_be_asked_for(model):
    lm = charlm.load(model)
    with serving(str(model), "--generation-config", "openai") as (_, address):
        answer = complete(address)
        plain = {"temperature": 1, "top_k": 0, "repetition_penalty": 1, "max_tokens": 16}
        assert answer["choices"][0]["text"] == lm.generate("the ", seed=7, **plain)
        assert answer["usage"]["completion_tokens"] == 16


def test_a_damaged_file_is_said_before_anything_is_served(model, tmp_path):
    assert read_own_defaults(tmp_path) == {}
    configure(model, temperature="hot")
    code, told = told_by(str(model), "--port", "0")
    configure(model, **OWN)
    assert code == 4 and "generation_config" in told and "temperature" in told
