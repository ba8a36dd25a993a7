"""Scores: total nats over total units, in the contract's keys."""

import json
import math
from dataclasses import replace

import pytest

from charlm.evaluation.metrics import Evaluation, perplexity
from charlm.evaluation.report import evaluation_table

ONE = Evaluation(
    documents=1,
    bytes=1000,
    characters=800,
    words=90,
    lines=10,
    tokens=400,
    unknown_tokens=0,
    nats=693.1471805599453,
    lossless=True,
)


def test_each_unit_shares_the_same_nats():
    assert ONE.bits_per_byte == pytest.approx(1.0)
    assert ONE.bits_per_character == pytest.approx(1.25)
    assert ONE.token_perplexity == pytest.approx(math.exp(ONE.nats / 400))
    assert ONE.word_perplexity == pytest.approx(1024)


def test_the_closed_form_has_no_bits_per_byte():
    closed = replace(ONE, lossless=False)
    assert closed.bits_per_byte is None and closed.bits_per_character is None
    assert closed.word_perplexity == ONE.word_perplexity


def test_json_has_the_promised_keys():
    promised = (
        "documents bytes characters words tokens unknown_tokens nats bits_per_byte "
        "bits_per_character token_perplexity word_perplexity lossless predictor by_predictor"
    )
    value = json.loads(json.dumps(ONE.to_json()))
    assert set(promised.split()) <= set(value)
    assert value["by_predictor"]["network"]["bits_per_byte"] == value["bits_per_byte"]


def test_nothing_and_too_much_are_no_errors():
    assert perplexity(5.0, 0) is None
    assert perplexity(1e9, 1) == math.inf
    assert replace(ONE, bytes=0).bits_per_byte is None


def test_a_text_without_spaces_has_no_word_perplexity_in_json():
    one = replace(certain(), words=1, lines=0, nats=5_000.0)
    assert one.word_perplexity == math.inf
    value = json.loads(json.dumps(one.to_json(), allow_nan=False))
    assert value["word_perplexity"] is None and value["token_perplexity"] is not None
    assert Evaluation.from_json(value) == replace(one, nats_by_predictor={"network": one.nats})


def test_a_number_of_many_digits_is_short_in_the_table():
    one = replace(ONE, words=1, lines=0, nats=690.0)
    assert "e+299" in evaluation_table(one) and max(map(len, evaluation_table(one).split())) < 20


def test_the_table_leaves_out_what_there_is_not():
    assert "bits per byte" in evaluation_table(ONE) and "1.0000" in evaluation_table(ONE)
    assert "bits per byte" not in evaluation_table(replace(ONE, lossless=False))
    assert "unknown" not in evaluation_table(ONE)


def certain(**values):
    """Give the same evaluation with an interval of 0.5 to 2 nats per unit."""
    return replace(
        ONE, nats_by_predictor={"network": ONE.nats}, intervals={"network": [0.5, 2.0]}, **values
    )


def test_an_interval_is_in_bits_per_byte_and_in_perplexity_where_there_are_none():
    for one, kept, other in (
        (certain(), "bits_per_byte_interval", "token_perplexity_interval"),
        (certain(lossless=False), "token_perplexity_interval", "bits_per_byte_interval"),
    ):
        value = json.loads(json.dumps(one.to_json()))
        change = (lambda n: n / math.log(2)) if one.lossless else math.exp
        assert value[kept] == pytest.approx([change(0.5), change(2.0)]) and value[other] is None
        assert value["by_predictor"]["network"][kept] == value[kept]
        assert Evaluation.from_json(value).intervals["network"] == pytest.approx([0.5, 2.0])
        assert "95 % interval" in evaluation_table(one)
    assert ONE.to_json()["bits_per_byte_interval"] is None
    assert "interval" not in evaluation_table(ONE)


def test_a_score_written_before_there_were_intervals_is_read():
    old = certain().to_json()
    for scores in (old, old["by_predictor"]["network"]):
        del scores["bits_per_byte_interval"], scores["token_perplexity_interval"]
    read = Evaluation.from_json(old)
    assert read.intervals == {} and read.bits_per_byte_interval is None
    assert read.bits_per_byte == ONE.bits_per_byte
