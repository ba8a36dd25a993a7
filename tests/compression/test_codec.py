"""Bytes by a predictor and back: exact, as small as its score, and never without end."""

import math

import numpy as np
import pytest

from charlm.compression.arithmetic import REGISTER
from charlm.compression.codec import counts_of, decode, encode, fingerprint
from charlm.errors import ModelError
from charlm.predict.predictor import DensePrediction
from charlm.text.learning import learn_tokenizer
from charlm.text.raw import encode_bytes
from tests.predictors import Bigram

ABC = "X:1\nT:A Round\nM:6/8\nK:D\n|:A2d def|gfe d2B|A2F AFD|E3 E2z:|\n" * 8
TEXT = "The cat sat on the mat; the dog didn't. Онегин, добрый\r\n" * 8
JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb004300") + bytes(range(64))
JPEG += bytes.fromhex("ffc0000b080001000101011100ffda0008010100003f00d2cf20ffd9")
DATA = {
    "text": TEXT.encode(),
    "abc": ABC.encode(),
    "random": np.random.default_rng(3).bytes(700),
    "empty": b"",
    "jpeg": JPEG,
    "byte-order mark": "\ufeffa\r\n".encode(),
}
KINDS = {kind: learn_tokenizer(kind, lambda: [TEXT]) for kind in ("byte", "char", "word", "bpe")}


def silent(size):
    pass


def bytes_of_score(predictor, data, tokenizer):
    ids = np.concatenate(list(encode_bytes(data, tokenizer))).astype(np.int64)[None]
    nats, _ = predictor.score(ids, predictor.start(1))
    return float(nats.sum(dtype=np.float64)) / math.log(2) / 8


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
@pytest.mark.parametrize("kind", KINDS)
def test_any_bytes_come_back_and_took_what_the_score_says(kind, data):
    tokenizer = KINDS[kind]
    for predictor in (Bigram.random(tokenizer), Bigram.of_text(tokenizer, TEXT)):
        packed = encode(data, tokenizer, predictor, silent)
        assert decode(packed, len(data), tokenizer, predictor, silent) == data
        assert len(packed) == pytest.approx(
            bytes_of_score(predictor, data, tokenizer), rel=5e-4, abs=2
        )


def test_certainty_costs_nothing_and_surprise_forty_bits():
    tokenizer = KINDS["byte"]
    sure = np.full((257, 257), -80.0)
    sure[np.arange(257), (np.arange(257) + 1) % 257] = 0.0
    predictor = Bigram(sure, 256)
    for data, most in ((bytes(range(256)), 1), (bytes(100), 100 * 5 + 1)):
        packed = encode(data, tokenizer, predictor, silent)
        assert len(packed) <= most
        assert decode(packed, len(data), tokenizer, predictor, silent) == data


def test_both_sides_are_told_of_every_byte():
    tokenizer, data = KINDS["word"], DATA["text"] + DATA["random"]
    predictor, told = Bigram.random(tokenizer), []
    packed = encode(data, tokenizer, predictor, told.append)
    assert sum(told) == len(data)
    decode(packed, len(data), tokenizer, predictor, told.append)
    assert sum(told) == 2 * len(data)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_data_is_read_to_an_end_whatever_it_claims(kind):
    tokenizer = KINDS[kind]
    predictor, generator = Bigram.of_text(tokenizer, TEXT), np.random.default_rng(0)
    packed = encode(DATA["text"], tokenizer, predictor, silent)
    for size in range(0, len(packed), 7):
        got = decode(packed[:size], 1 << 60, tokenizer, predictor, silent)
        assert len(got) < 1_000_000
    for _ in range(20):
        noise = generator.bytes(30)
        assert isinstance(decode(noise, 1 << 60, tokenizer, predictor, silent), bytes)


def test_every_id_has_a_count_and_all_counts_are_in_proportion():
    logs = np.log(np.array([[0.5, 0.25, 0.25 - 1e-9, 1e-9, 1e-30]], dtype=np.float32))
    logs = np.concatenate([logs, [[-np.inf]]], axis=1)
    counts = counts_of(DensePrediction(logs.astype(np.float32)))
    assert counts.dtype == np.int64 and counts.min() == 1
    np.testing.assert_allclose(counts / counts.sum(), np.exp(logs[0]), rtol=1e-6, atol=1e-11)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 800.0, -np.inf])
def test_what_is_no_distribution_is_refused(wrong):
    with pytest.raises(ModelError, match="no probabilities"):
        counts_of(DensePrediction(np.full((1, 4), wrong, dtype=np.float32)))


def test_a_fingerprint_is_the_arithmetics():
    tokenizer = KINDS["char"]
    predictor = Bigram.random(tokenizer)
    assert fingerprint(predictor) == fingerprint(Bigram.random(tokenizer))
    table = predictor.table.copy()
    table[0] = np.nextafter(table[0], np.float32(-100))  # id 0 is read first
    assert fingerprint(predictor) != fingerprint(Bigram(table, predictor.boundary_id))


def test_a_boundary_that_no_encoder_wrote_ends_the_decoding():
    tokenizer = KINDS["byte"]
    boundary = np.full((257, 257), -80.0)
    boundary[:, 256] = 0.0
    got = decode(bytes(REGISTER), 1 << 60, tokenizer, Bigram(boundary, 256), silent)
    assert len(got) <= 4 * REGISTER
