"""A trained model compresses anything: exact, the size of its score, and by that model alone."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import charlm
from charlm import storage
from charlm.cli.main import main
from charlm.compression import machine
from charlm.compression.container import pack, unpack
from charlm.errors import CorpusError, ModelError
from charlm.evaluation.scoring import score_stream
from charlm.language import compressing
from charlm.language.adapting import Tuned, write_tuned
from charlm.language.combination import NAMES
from charlm.language.compressing import left_out
from charlm.predict.adaptation import Adaptation
from charlm.text.raw import encode_bytes

TEXT = "The cat sat on the mat, né? and the dog sat on the log.\r\nSo it goes!\n\n" * 60
SMALL = {"steps": 40, "hidden": 24, "embed": 12, "batch": 8, "bptt": 16, "lr": 0.01, "threads": 1}
DATA = {
    "text": (TEXT[:400] + "A new dog comes.\n" + TEXT[:200]).encode(),
    "abc": b"X:1\nT:A Round\nK:D\n|:A2d def|gfe d2B|A2F AFD|E3 E2z:|\n" * 4,
    "random": np.random.default_rng(1).bytes(300),
    "empty": b"",
    "jpeg": bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9"),
}


@pytest.fixture(scope="module")
def model_of(tmp_path_factory):
    """Train one small model of each kind of tokenizer, when it is first asked for."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "book.txt").write_bytes(TEXT.encode())

    @cache
    def train(kind):
        charlm.train(folder / "book.txt", out=str(folder / kind), tokenizer=kind, **SMALL)
        return folder / kind

    return train


@pytest.fixture(scope="module")
def chars(model_of):
    return model_of("char")


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
@pytest.mark.parametrize("name", [NAMES[0], NAMES[1], NAMES[-1]])
@pytest.mark.parametrize("kind", ["byte", "char", "word", "bpe"])
def test_anything_comes_back_and_takes_what_its_score_says(model_of, kind, name, data):
    lm = charlm.load(model_of(kind), predictor=name)
    packed = lm.compress(data)
    assert charlm.load(model_of(kind)).decompress(packed) == data, (
        "the file says by which predictor"
    )
    nats = score_stream(lm.predictor, encode_bytes(data, lm.tokenizer)).nats
    expected = nats / math.log(2) / 8
    assert abs(len(packed) - expected) <= 0.005 * expected + 64


def test_the_size_is_what_eval_reports(chars, tmp_path):
    (tmp_path / "new.txt").write_bytes(TEXT.encode())
    lm = charlm.load(chars)
    evaluation = lm.evaluate(path=tmp_path / "new.txt", predictor="best")
    expected = evaluation.bits_per_byte * evaluation.bytes / 8
    assert abs(len(lm.compress(TEXT.encode())) - expected) <= 0.005 * expected + 64


def test_shares_that_were_tuned_later_count_for_nothing_and_that_is_said(chars, tmp_path, capsys):
    lm = charlm.load(chars, predictor="network+counts")
    assert lm.combination is not None and left_out(lm) is None
    shutil.copytree(chars, tmp_path / "tuned")
    rows = lm.combination.weights | {"network+counts": [0.25, 0.75]}
    write_tuned(tmp_path / "tuned", Tuned(Adaptation(), replace(lm.combination, weights=rows)))
    tuned = charlm.load(tmp_path / "tuned", predictor="network+counts")
    assert tuned.compress(b"the cat") == lm.compress(b"the cat")
    assert "other bits" in (left_out(tuned) or "")
    assert left_out(charlm.load(tmp_path / "tuned", predictor="network")) is None
    (tmp_path / "new.txt").write_text("the cat")
    words = [tmp_path / "tuned", tmp_path / "new.txt", tmp_path / "out", "--ngram"]
    assert main(["compress", *map(str, words)]) == 0
    assert "eval counts those that charlm adapt found" in capsys.readouterr().err


def test_another_model_is_refused(chars, tmp_path):
    packed = charlm.load(chars).compress(b"the cat")
    for file in ("model.safetensors", "counts.safetensors"):
        other = tmp_path / file
        shutil.copytree(chars, other)
        data = bytearray((other / file).read_bytes())
        data[-3] ^= 1
        (other / file).write_bytes(data)
        with pytest.raises(ModelError, match="not compressed with the model in"):
            charlm.load(other).decompress(packed)


def test_what_else_a_model_tells_may_change(chars, tmp_path):
    packed = charlm.load(chars).compress(b"the cat")
    shutil.copytree(chars, tmp_path / "copy")
    config = json.loads((chars / "config.json").read_text())
    config["run"]["seconds"] = 1.0
    manifest = json.loads((chars / storage.MANIFEST).read_text())
    text = json.dumps(config).encode()
    (tmp_path / "copy" / "config.json").write_bytes(text)
    manifest["files"]["config.json"]["size"] = len(text)
    (tmp_path / "copy" / storage.MANIFEST).write_text(json.dumps(manifest))
    assert charlm.load(tmp_path / "copy").decompress(packed) == b"the cat"


def test_a_predictor_that_this_charlm_has_not_is_named(chars):
    lm = charlm.load(chars)
    header, payload = unpack(lm.compress(b"the cat"), "f")
    for number in (0, 4, 8, 255):
        with pytest.raises(CorpusError, match="a predictor that this charlm does not have"):
            lm.decompress(pack(replace(header, predictor=number), payload))
    with pytest.raises(ModelError, match="not compressed with"):
        lm.decompress(pack(replace(header, predictor=1), payload))


def test_other_arithmetic_is_refused_at_once_and_what_differs_is_named(chars, monkeypatch):
    lm = charlm.load(chars)
    header, payload = unpack(lm.compress(b"the cat"), "f")
    elsewhere = replace(header, fingerprint=b"none", machine="1.0 z80 -")
    with pytest.raises(CorpusError, match="cannot be decoded here") as caught:
        lm.decompress(pack(elsewhere, payload))
    assert "NumPy 1.0 there" in caught.value.hint and "processor z80 there" in caught.value.hint
    with pytest.raises(CorpusError, match="cannot be decoded here") as caught:
        lm.decompress(pack(replace(header, fingerprint=b"none"), payload))
    assert "BLAS library" in caught.value.hint
    assert lm.decompress(pack(replace(header, machine="1.0 z80 -"), payload)) == b"the cat"


def test_what_was_decoded_is_compared_with_the_original(chars):
    lm = charlm.load(chars)
    header, payload = unpack(lm.compress(b"the cat sat"), "f")
    for forged in (
        replace(header, content=bytes(8)),
        replace(header, length=header.length - 1),
        replace(header, length=header.length + 1),
        replace(header, length=1 << 62),
    ):
        with pytest.raises(CorpusError, match="cannot be decoded here"):
            lm.decompress(pack(forged, payload))


def test_even_the_making_of_the_predictor_has_one_thread(chars, monkeypatch):
    count, set_count = machine._openblas("get_num_threads"), machine._openblas("set_num_threads")
    if count is None:
        pytest.skip("this NumPy has no OpenBLAS")
    lm, usual, seen = charlm.load(chars), count(), []
    make = lm.fresh_predictor
    monkeypatch.setattr(lm, "fresh_predictor", lambda name: seen.append(count()) or make(name))
    try:
        set_count(2)
        assert lm.decompress(lm.compress(b"the cat")) == b"the cat"
    finally:
        set_count(usual)
    assert seen == [1, 1]


def test_no_torch_is_loaded(chars, tmp_path):
    code = (
        "import sys, charlm.cli.main as m\n"
        f"assert m.main(['compress', {str(chars)!r}, {str(chars / 'README.md')!r}, "
        f"{str(tmp_path / 'x')!r}]) == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_result_is_told_with_the_models_size(chars):
    lm = charlm.load(chars)
    size = compressing.model_bytes(lm, "network+counts")
    assert size > compressing.model_bytes(lm, "network") > 5000
    result = compressing.Compressed(1_115_394, 291_234, size, "network+counts", 1.0)
    assert "1,115,394 -> 291,234 bytes, 2.089 bits per byte" in result.line()
    assert f"{size:,}" in result.line()
    empty = compressing.Compressed(0, 50, size, "network", 0.1)
    assert empty.bits_per_byte is None and "0 -> 50 bytes" in empty.line()
