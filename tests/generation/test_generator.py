"""Generation: seeds, greed, stops, whole characters, constant memory, honest nats."""

import numpy as np
import pytest

from charlm.errors import UsageError
from charlm.generation.generator import Generator
from charlm.generation.options import SamplingOptions
from charlm.text.learning import learn_tokenizer
from tests.predictors import Bigram

TEXT = "the cat sat on the mat. привет, мир! the end\n" * 3
CHAR = learn_tokenizer("char", lambda: [TEXT])
BYTE = learn_tokenizer("byte", lambda: [TEXT])
CLOSED = learn_tokenizer("word", lambda: [TEXT], unknown="unk")


def generator(prompt="the ", tokenizer=CHAR, predictor=None, rules=None, **keywords):
    predictor = predictor or Bigram.of_text(tokenizer, TEXT)
    options = SamplingOptions(**rules or {})
    return Generator(
        predictor, tokenizer, prompt, options, **{"seed": 1, "max_tokens": 40} | keywords
    )


def test_the_same_seed_gives_the_same_text_and_another_another():
    texts = [generator(seed=seed).samples()[0].text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_a_sample_does_not_depend_on_how_many_there_are():
    many = [sample.text for sample in generator(count=5).samples()]
    assert [sample.text for sample in generator(count=2).samples()] == many[:2]
    assert len(set(many)) > 1


def test_without_a_seed_every_run_is_another():
    assert len({generator(seed=None).samples()[0].text for _ in range(4)}) > 1


def test_temperature_zero_takes_the_most_probable_each_time():
    predictor = Bigram.of_text(CHAR, TEXT)
    text = generator(rules={"temperature": 0}, max_tokens=10).samples()[0].text
    last = CHAR.encode(" ")[0]
    for character in text:
        last = predictor.table[last].argmax()
        assert CHAR.pieces[last].decode() == character


def test_nats_are_those_of_the_tokens_under_the_model():
    predictor = Bigram.of_text(CHAR, TEXT)
    sample = generator(rules={"temperature": 0.5}, max_tokens=30).samples()[0]
    ids = CHAR.encode("the " + sample.text)[None]
    nats, _ = predictor.score(ids, predictor.start(1))
    assert sample.tokens == 30
    assert sample.nats == pytest.approx(float(nats[0, 4:].sum()), rel=1e-4)


def test_a_stop_string_over_several_tokens_ends_the_text_before_it():
    sample = generator(stops=["at"], max_tokens=500).samples()[0]
    assert sample.stopped_by == "stop" and "at" not in sample.text
    assert sample.tokens < 500


def test_the_model_can_end_the_text():
    table = np.full((CHAR.vocab_size,) * 2, -30.0)
    table[:, CHAR.boundary_id] = 0.0
    sample = generator(predictor=Bigram(table, CHAR.boundary_id)).samples()[0]
    assert (sample.text, sample.tokens, sample.stopped_by) == ("", 1, "end")


def test_the_model_cannot_end_the_text_before_so_many_tokens():
    table = np.full((CHAR.vocab_size,) * 2, -30.0)
    table[:, CHAR.boundary_id] = 0.0
    predictor = Bigram(table, CHAR.boundary_id)
    for least in (1, 5):
        sample = generator(predictor=predictor, rules={"min_tokens": least}).samples()[0]
        assert (sample.tokens, sample.stopped_by) == (least + 1, "end")


def test_length_and_nothing():
    assert generator(max_tokens=7).samples()[0].stopped_by == "length"
    assert generator(max_tokens=0).samples()[0].text == ""


def test_streaming_gives_the_same_text_and_never_half_a_character():
    for prompt in ("привет", ""):
        one = generator(prompt, BYTE, rules={"temperature": 0.7}, max_tokens=60)
        pieces = [piece for _, piece in one.pieces()]
        again = generator(prompt, BYTE, rules={"temperature": 0.7}, max_tokens=60).samples()[0]
        assert "".join(pieces) == again.text
        assert "\ufffd" not in "".join(pieces[:-1])


def test_words_of_the_closed_form_are_joined_to_the_prompt():
    text = generator("the cat", CLOSED, rules={"temperature": 0}, max_tokens=3).samples()[0].text
    assert text.startswith(" ") and text.split()[0] == "sat"
    text = generator("the end\n", CLOSED, rules={"temperature": 0}, max_tokens=3).samples()[0].text
    assert not text.startswith(" ")


def test_a_prompt_with_characters_never_seen_works():
    assert len(generator("日本 \x00").samples()[0].text) > 0


@pytest.mark.parametrize("values", [{"max_tokens": -1}, {"seed": -1}, {"stops": [""]}])
def test_senseless_numbers_are_refused(values):
    with pytest.raises(UsageError):
        generator(**values)
