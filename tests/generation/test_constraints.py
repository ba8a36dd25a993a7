"""Texts that must match: all do, and each is as probable as the model makes it among them."""

import re

import numpy as np
import pytest

from charlm.errors import UsageError
from charlm.generation.generator import Generator
from charlm.generation.languages import PatternLanguage, PrefixLanguage, WordLanguage
from charlm.generation.options import SamplingOptions
from charlm.text.learning import learn_tokenizer
from tests.predictors import Bigram

TEXT = "a cat and a cab: the cat can't act. a bad act\né ☃ " * 10
KINDS = {
    "byte": learn_tokenizer("byte", lambda: [TEXT]),
    "char": learn_tokenizer("char", lambda: [TEXT]),
    "word": learn_tokenizer("word", lambda: [TEXT]),
    "bpe": learn_tokenizer("bpe", lambda: [TEXT], vocab_size=290),
}
CLOSED = learn_tokenizer("word", lambda: [TEXT], unknown="unk")


def written(kind, count=25, prompt="the", max_tokens=60, **options):
    tokenizer = KINDS.get(kind, CLOSED)
    predictor = Bigram.of_text(tokenizer, TEXT, smoothing=0.05)
    rules = SamplingOptions(**options)
    return Generator(
        predictor, tokenizer, prompt, rules, max_tokens=max_tokens, seed=1, count=count
    ).samples()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "pattern", [r" [abct]{2,4}", r"[0-9]{3}-[0-9]", r" (cat|act|dog)\.", r"é?☃{2}", r"[à-ö]x"]
)
def test_what_is_written_matches(kind, pattern):
    for sample in written(kind, regex=pattern):
        assert sample.stopped_by == "match", sample
        assert re.fullmatch(pattern, sample.text), sample


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_may_go_on_ends_by_choice_or_by_length(kind):
    samples = written(kind, count=60, regex=r"[a-z ]*", max_tokens=30)
    assert all(re.fullmatch("[a-z ]*", sample.text) for sample in samples)
    assert {"match"} <= {sample.stopped_by for sample in samples} <= {"match", "length"}
    assert len({len(sample.text) for sample in samples}) > 2


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_some_words_is_written(kind):
    words = ("cat", "cab", "cabbage", "zebra", "☃ man")
    samples = written(kind, count=40, words=words)
    assert {sample.text.strip() for sample in samples} <= set(words)
    assert {sample.stopped_by for sample in samples} == {"match"}


def test_words_are_as_probable_as_the_model_makes_them():
    tokenizer, words = KINDS["char"], ("cat", "ca", "act")
    used = [int(tokenizer.encode(letter)[0]) for letter in "cat."]
    table, random = np.full((tokenizer.vocab_size,) * 2, -60.0), np.random.default_rng(2)
    for row in used:
        table[row, used] = np.log(random.dirichlet(np.ones(4)))
    predictor = Bigram(table, tokenizer.boundary_id)
    rules = SamplingOptions(words=words)
    samples = Generator(predictor, tokenizer, "a", rules, seed=3, count=1500).samples()
    shares = {word: sum(s.text == word for s in samples) / len(samples) for word in words}
    of_c, of_a, _, _ = np.exp(table[used[1], used])  # after the prompt's "a"
    assert shares["act"] == pytest.approx(of_a / (of_a + of_c), abs=0.05)
    to_t = float(np.exp(table[used[1], used[2]]))  # after "ca" the text goes on so, or ends
    assert shares["cat"] / (shares["cat"] + shares["ca"]) == pytest.approx(to_t, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", [" can't", " zebra☃", "\n\n", ""])
def test_a_text_begins_as_it_must_and_goes_on_freely(kind, prefix):
    samples = written(kind, prefix=prefix, max_tokens=30)
    assert all(sample.text.startswith(prefix) for sample in samples)
    assert len({sample.text for sample in samples}) > 10


@pytest.mark.parametrize("prompt, space", [("the", " "), ("", ""), ("bad act\n", "")])
def test_words_of_the_closed_form_are_seen_with_the_spaces_that_are_written(prompt, space):
    pattern = rf"{space}(cat|cab:|a|and)( (cat|cab:|a|and)){{2,4}}\n"
    for sample in written("closed", prompt=prompt, regex=pattern):
        assert sample.stopped_by == "match", sample
        assert re.fullmatch(pattern, sample.text), sample
    words = ("cat", "a bad act", "cab: the cat")
    texts = [sample.text for sample in written("closed", count=60, prompt=prompt, words=words)]
    assert {text.removeprefix(" ") for text in texts} == set(words)
    assert {text[: len(space)] for text in texts} == {space}
    prefix = f"{space}cat\nact. a"
    samples = written("closed", prompt=prompt, prefix=prefix, max_tokens=9)
    assert all(sample.text.startswith(prefix) and sample.tokens == 9 for sample in samples)
    assert len({sample.text for sample in samples}) > 10


@pytest.mark.parametrize("kind", [*KINDS, "closed"])
def test_what_may_come_is_asked_of_a_decoder_without_changing_it(kind):
    tokenizer, random = KINDS.get(kind, CLOSED), np.random.default_rng(4)
    decoder, untouched = tokenizer.decoder(), tokenizer.decoder()
    for token in random.integers(tokenizer.vocab_size, size=300).tolist():
        other = random.integers(tokenizer.vocab_size, size=2).tolist()
        decoder.peek(other), decoder.pending(other)
        assert decoder.pending() == untouched.pending()
        assert decoder.push([token]) == untouched.push([token])


def test_a_length_that_is_too_short_is_said():
    assert {s.stopped_by for s in written("char", regex="a{50}", max_tokens=9)} == {"length"}


def test_mistakes_in_an_expression_are_said_with_their_place():
    with pytest.raises(UsageError, match="at character 2"):
        PatternLanguage("(a")
    with pytest.raises(UsageError, match="no text"):
        PatternLanguage("(?!)")
    with pytest.raises(UsageError, match="takes more than"):
        PatternLanguage(r"(a|a|a)*(a|a|a)*(a|a|a)*(a|a|a)*b{2}c").begins("a" * 90 + "d" * 3 + "e")
    with pytest.raises(UsageError, match="list"):
        WordLanguage("cat")
    with pytest.raises(UsageError, match="one of"):
        SamplingOptions(regex="a", prefix="b")


def test_languages_know_their_texts():
    words = WordLanguage(["cat", "cab"])
    assert words.begins("ca") and words.begins(" c") and not words.begins("cu")
    assert words.holds("cat") and words.holds(" cab") and not words.holds("ca")
    prefix = PrefixLanguage("ab")
    assert prefix.begins("a") and prefix.begins("abc") and not prefix.begins("b")
