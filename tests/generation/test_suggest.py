"""Suggestions: true lower bounds, summed over every way to spell a word."""

import itertools
import math
import re

import numpy as np
import pytest

from charlm.generation import word_search as module
from charlm.generation.lexicon import Lexicon, Role, role_of
from charlm.generation.session import Session, suggest
from charlm.generation.suggest import cut_typed
from charlm.text.learning import learn_tokenizer
from tests.predictors import Bigram

TEXT = "a cat and a cab: the cat can't act. a bad act\n" * 10
LOSSLESS = {
    "byte": learn_tokenizer("byte", lambda: [TEXT]),
    "char": learn_tokenizer("char", lambda: [TEXT]),
    "word": learn_tokenizer("word", lambda: [TEXT]),
    "bpe": learn_tokenizer("bpe", lambda: [TEXT], vocab_size=290),
}


def sharp(tokenizer, used, seed=0):
    """Make a random bigram model over a few ids only, so that everything can be enumerated."""
    generator = np.random.default_rng(seed)
    table = np.full((tokenizer.vocab_size,) * 2, -60.0)
    for a in [*used, tokenizer.boundary_id]:
        p = generator.dirichlet(np.ones(len(used)))
        table[a, used] = np.log(p)
    return Bigram(table, tokenizer.boundary_id)


def enumerate_words(predictor, tokenizer, text, used, depth):
    """Add up every spelling of up to `depth` tokens that agrees with the typed text."""
    found = re.search(r" ?[a-z]+\Z| \Z", text)
    typed = found.group() if found else ""
    context = text[: len(text) - len(typed)]
    state = tokenizer.encode(context)[-1] if context else tokenizer.boundary_id
    words, total = {}, 0.0
    for tokens in itertools.product(used, repeat=depth):
        spelled = "".join(tokenizer.pieces[t].decode() for t in tokens)
        p = math.exp(sum(predictor.table[a, b] for a, b in itertools.pairwise([state, *tokens])))
        if not spelled.startswith(typed):
            continue
        total += p
        word = re.match(r"\s*([a-z]+)(?=[^a-z])", spelled)
        if word and len(word.group()) >= len(typed):
            words[word.group(1)] = words.get(word.group(1), 0.0) + p
    return {word: p / total for word, p in words.items()}


@pytest.mark.parametrize("kind", ["char", "bpe"])
@pytest.mark.parametrize("text", ["a ", "a c", "cat", "cat:"])
def test_figures_are_those_of_exhaustive_enumeration(kind, text):
    tokenizer = LOSSLESS[kind]
    used = [tokenizer.encode(c)[0] for c in "cat :"]
    if kind == "bpe":
        used += [i for i, piece in enumerate(tokenizer.pieces) if piece in (b" c", b"at", b" a")]
    predictor = sharp(tokenizer, used)
    depth = 7 if kind == "char" else 5
    expected = enumerate_words(predictor, tokenizer, text, used, depth)
    found = suggest(predictor, tokenizer, text, k=4)
    assert len(found.suggestions) == 4
    for suggestion in found.suggestions:
        truth = expected.get(suggestion.word, 0.0)
        # a word longer than the enumeration reaches is missing some of its mass there
        assert suggestion.probability <= truth + found.unsearched + 0.05
        if len(suggestion.word) <= 2:
            assert suggestion.probability == pytest.approx(truth, abs=found.unexplored + 1e-3)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_half_typed_word_is_completed(kind):
    predictor = Bigram.of_text(LOSSLESS[kind], TEXT)
    found = suggest(predictor, LOSSLESS[kind], "the ca", k=3)
    assert found.suggestions[0].word.startswith("ca")
    for suggestion in found.suggestions:
        assert "ca" + suggestion.completion == suggestion.word
    assert "cat" in [suggestion.word for suggestion in found.suggestions]


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize(
    "text", ["", "the ", "the cat", "act.", "x\n", "the cat and a", "日", "can'"]
)
def test_figures_are_probabilities_and_sorted(kind, text):
    predictor = Bigram.of_text(LOSSLESS[kind], TEXT)
    found = suggest(predictor, LOSSLESS[kind], text, k=5)
    figures = [suggestion.probability for suggestion in found.suggestions]
    assert figures == sorted(figures, reverse=True)
    assert sum(figures) <= 1 + 1e-6 and 0 <= found.unexplored <= found.unsearched <= 1
    for suggestion in found.suggestions:
        assert (text + suggestion.completion).endswith(suggestion.word)


def test_the_next_word_after_punctuation_brings_its_space():
    found = suggest(Bigram.of_text(LOSSLESS["bpe"], TEXT), LOSSLESS["bpe"], "can't act.", k=1)
    assert found.suggestions[0].completion == " " + found.suggestions[0].word


def test_the_closed_form_suggests_its_words():
    closed = learn_tokenizer("word", lambda: [TEXT], unknown="unk")
    predictor = Bigram.of_text(closed, TEXT)
    found = suggest(predictor, closed, "a ca", k=5)
    assert {suggestion.word for suggestion in found.suggestions} == {"cat", "cab:", "can't"}
    assert sum(suggestion.probability for suggestion in found.suggestions) == pytest.approx(1)
    following = suggest(predictor, closed, "the ", k=1).suggestions[0]
    assert (following.word, following.completion) == ("cat", "cat")


def test_a_search_cut_short_says_how_much_it_did_not_see(monkeypatch):
    tokenizer = LOSSLESS["char"]
    predictor = Bigram.random(tokenizer, temperature=5.0)
    monkeypatch.setattr(module, "MAX_OPENED", 8)
    monkeypatch.setattr(module, "WIDTH", 4)
    assert suggest(predictor, tokenizer, "a ", k=3).unsearched > 0.1


@pytest.mark.parametrize(
    "piece, role",
    [
        (b"cat", Role.LETTERS),
        (b" cat", Role.SPACED),
        (b" ", Role.BLANK),
        (b"\n\n", Role.BLANK),
        (b",", Role.OTHER),
        (b" -", Role.OTHER),
        (b"", Role.OTHER),
        (b"'", Role.APOSTROPHE),
        (b"'t", Role.APOSTROPHE),
        (b"\xd0", Role.LETTERS),
        ("Невы".encode(), Role.LETTERS),
    ],
)
def test_roles(piece, role):
    assert role_of(piece) == role


def test_every_token_ends_a_word_or_goes_on_with_it():
    for tokenizer in LOSSLESS.values():
        lexicon = Lexicon(tokenizer)
        assert (lexicon.ends ^ lexicon.goes_on).all()


def test_ways_on_to_words_are_kept_up_to_a_number(monkeypatch):
    monkeypatch.setattr("charlm.generation.lexicon.MOST_KNOWN", 5)
    lexicon = Lexicon(LOSSLESS["char"])
    for text in (b"cat", b"at", b"t", b"act", b"ct", b"can", b"an", b"cat"):
        assert lexicon.towards(text, True) == Lexicon(LOSSLESS["char"]).towards(text, True)
        assert len(lexicon._towards) <= 5


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("text", ["", "at ", "can ca", "cat a", "can"])
def test_what_is_offered_is_what_a_search_to_the_end_finds(kind, text, monkeypatch):
    tokenizer, opened, open_all = LOSSLESS[kind], [], module.WordSearch._open
    predictor = sharp(tokenizer, sorted(set(tokenizer.encode("cat at a can act: ").tolist())), 4)
    predictor.table += [2.0 * piece.startswith((b" ", b":")) for piece in tokenizer.pieces]
    predictor.table -= np.log(np.exp(predictor.table).sum(axis=1, keepdims=True))
    monkeypatch.setattr(
        module.WordSearch, "_open", lambda s, each: (opened.extend(each), open_all(s, each))
    )
    with monkeypatch.context() as patched:
        patched.setattr(module, "MAX_OPENED", 2000)
        patched.setattr(module, "ENOUGH", 0)
        whole = suggest(predictor, tokenizer, text, 40)
    to_the_end, sure = len(opened), []
    opened.clear()
    figures = [suggestion.probability for suggestion in whole.suggestions] + [0.0] * 4
    for suggestion, figure in zip(whole.suggestions, figures, strict=False):
        inside, outside = figure - figures[3], figures[2] - figure
        if max(inside, outside) > whole.unsearched:
            found = Session(predictor, tokenizer).offers(text, suggestion.word, 3)
            assert found == (inside > 0)
            sure.append(found)
    assert sum(sure) >= 2 and len(sure) > 5
    assert len(opened) / len(sure) < to_the_end / 2
    assert not Session(predictor, tokenizer).offers(text, "zebra", 3)


@pytest.mark.parametrize(
    "end", ["", " ", "\n", "c", " c", "\tc", "x-c", " can'", " can't", "1 c", "\u00a0c"]
)
def test_where_a_word_is_cut_does_not_hang_on_how_much_stands_before(end):
    tokenizer = LOSSLESS["char"]
    alone = cut_typed(tokenizer, "at" + end)
    whole = cut_typed(tokenizer, "a cat.\n" * 400 + "at" + end)
    assert whole[1] == alone[1] and "".join(alone) == "at" + end
    assert whole[0].endswith(alone[0])


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_half_typed_word_less_probable_than_any_float_has_no_suggestions(kind):
    tokenizer = LOSSLESS[kind]
    predictor = Bigram.random(tokenizer)
    text = "so " + "abdct" * 200
    found = suggest(predictor, tokenizer, text)
    assert found.suggestions == () and found.unexplored == 1
    assert not Session(predictor, tokenizer).offers(text, text.split()[1] + "a", 3)
