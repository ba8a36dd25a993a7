"""Novelty: suffixes in order, copies found whole, runs that are too long never written."""

from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import CorpusError, UsageError
from charlm.generation import choosing
from charlm.generation.copies import longest_copy
from charlm.generation.generator import Generator
from charlm.generation.options import SamplingOptions
from charlm.generation.suffixes import sort_suffixes
from charlm.generation.text_index import TextIndex, sorted_segments
from charlm.predict.kneser_ney import estimate
from charlm.predict.ngram import NgramPredictor
from charlm.text.learning import learn_tokenizer
from tests.predictors import Bigram

SENTENCE = "the cat sat on a mat, привет мир! and no dog ate 日本 bones; who asked why Zoë"
WORDS = SENTENCE.split()
PICKED = np.random.default_rng(5).integers(len(WORDS), size=600)
TEXT = "".join(WORDS[k] + ("\n" if k % 7 == 3 else " ") for k in PICKED) + "\n"
INDEX = TextIndex.of(TEXT)

some_bytes = st.binary(max_size=60) | st.lists(st.sampled_from(b"\0a\xff"), max_size=60).map(bytes)
some_text = st.text(st.sampled_from("ab é日\ufffd"), max_size=40)


def copied_by_brute_force(text, documents):
    """Give the length of the longest run of `text` in a document, and where the first starts."""
    for size in range(len(text), 0, -1):
        for start in range(len(text) - size + 1):
            run = text[start : start + size]
            if "\ufffd" not in run and any(run in document for document in documents):
                return size, start
    return 0, 0


@given(some_bytes)
def test_suffixes_are_in_the_order_of_their_bytes(data):
    expected = sorted(range(len(data)), key=lambda place: data[place:])
    assert sort_suffixes(data, len(data)).tolist() == expected


@given(some_bytes, st.integers(1, 20))
def test_only_the_first_bytes_need_be_in_order(data, depth):
    heads = [data[place : place + depth] for place in sort_suffixes(data, depth).tolist()]
    assert heads == sorted(data[place : place + depth] for place in range(len(data)))


@pytest.mark.parametrize("unit", [b"a", b"ab", b"a" * 999 + b"b"])
def test_long_repeats_take_a_few_rounds_more(unit, monkeypatch):
    rounds, argsort = [], np.argsort
    monkeypatch.setattr(np, "argsort", lambda keys: rounds.append(len(keys)) or argsort(keys))
    data = (unit * 30_000)[:30_000]
    order = sort_suffixes(data, len(data)).tolist()
    assert len(rounds) <= 14  # 7 bytes, doubled until they are 30,000
    assert all(data[a:] < data[b:] for a, b in pairwise(order[:2000]))


@given(st.lists(some_bytes, max_size=6), st.integers(1, 30), st.integers(1, 10))
def test_segments_hold_each_place_once_and_each_is_in_order(chunks, segment, depth):
    kept, text = [], b"".join(chunks)
    orders = [order.tolist() for order in sorted_segments(chunks, kept.append, segment, depth)]
    assert b"".join(kept) == text
    assert sorted(chain.from_iterable(orders)) == list(range(len(text)))
    for order in orders:
        heads = [text[place : place + depth] for place in order]
        assert heads == sorted(heads)


@given(some_text, st.lists(some_text, max_size=3), st.integers(2, 40), st.integers(2, 12))
def test_the_longest_copy_is_that_of_brute_force(text, documents, segment, depth):
    copy = longest_copy(text, TextIndex.of(*documents, segment=segment, depth=depth))
    assert (copy.characters, copy.start) == copied_by_brute_force(text, documents)
    assert copy.text == text[copy.start : copy.start + copy.characters]
    data = "".join(documents).encode()
    if copy.offset is not None:
        run = copy.text.encode()
        assert data[copy.offset : copy.offset + len(run)] == run
        firsts, start = [], 0
        for document in documents:
            if (at := document.encode().find(run)) >= 0:
                firsts.append(start + at)
            start += len(document.encode())
        assert copy.offset == min(firsts)


def test_a_text_of_one_letter_takes_few_questions(monkeypatch):
    index, asked, holds = TextIndex.of("a" * 3_000, depth=64), [], TextIndex.holds
    monkeypatch.setattr(TextIndex, "holds", lambda *a: asked.append(len(a[1])) or holds(*a))
    copy = longest_copy("a" * 2_000 + "b" + "a" * 900 + "c" + "a" * 2_500, index)
    assert (copy.characters, copy.start) == (2_500, 2_902)
    assert len(asked) < 100


def test_a_planted_copy_is_found_to_the_character():
    at = 1000
    text = "the ¿never there?" + TEXT[at : at + 200] + "¿nor this"
    copy = longest_copy(text, INDEX)
    assert (copy.characters, copy.start, copy.text) == (200, 17, TEXT[at : at + 200])
    assert copy.offset == len(TEXT[:at].encode())


def test_a_copy_does_not_reach_over_the_border_of_two_documents():
    assert longest_copy("abcdef", TextIndex.of("abc", "def")).characters == 3
    assert longest_copy("abcdef", TextIndex.of("abcdef")).characters == 6


def test_a_character_cut_in_two_is_no_copy():
    assert longest_copy("й", TextIndex.of("и")).characters == 0  # their first bytes are the same
    copy = longest_copy("aй", TextIndex.of("aи"))
    assert (copy.characters, copy.text) == (1, "a")


def test_a_copy_is_told_in_a_line_that_no_terminal_obeys():
    text = "one\x1b[31m two\n" + "x" * 300
    line = longest_copy(text, TextIndex.of("1234567", text)).describe()
    assert line.startswith("longest copy 313 characters, of the training text at byte 7: 'one\\x1b")
    assert line.isprintable() and len(line) < 160 and line.endswith("...'")
    assert longest_copy("z", TextIndex.of("a")).describe() == "longest copy 0 characters"
    with pytest.raises(CorpusError):
        longest_copy("\ud800", INDEX)


def tokenizer_of(kind):
    if kind == "closed":
        return learn_tokenizer("word", lambda: [TEXT], vocab_size=16, unknown="unk")
    size = {"char": 277, "word": 290}.get(kind)  # the rest is spelled in bytes
    return learn_tokenizer(kind, lambda: [TEXT], vocab_size=size)


def counts_of(tokenizer):
    """Make n-grams so long that they copy all the time."""
    ids = np.array([tokenizer.boundary_id, *tokenizer.encode(TEXT), tokenizer.boundary_id])
    tables = estimate(ids, np.array([0, len(ids) - 1]), tokenizer.vocab_size, 16).tables
    return NgramPredictor(tables, tokenizer.boundary_id)


def samples(kind, count, tokens, tokenizer=None, predictor=None, index=None, **rules):
    tokenizer = tokenizer or tokenizer_of(kind)
    own = predictor or counts_of(tokenizer)
    if index is None:
        index = TextIndex.of(tokenizer.decode(tokenizer.encode(TEXT)))
    options = {"seed": 1, "count": count, "max_tokens": tokens, "index": index}
    return Generator(own, tokenizer, "the cat", SamplingOptions(**rules), **options).samples()


@pytest.mark.parametrize("kind", ["byte", "char", "word", "closed", "bpe"])
def test_of_a_hundred_samples_none_copies_more_than_it_may(kind):
    tokens = {"byte": 100, "char": 90, "word": 60, "closed": 30, "bpe": 40}[kind]
    tokenizer = tokenizer_of(kind)
    text = tokenizer.decode(tokenizer.encode(TEXT))
    free = samples(kind, 5, tokens, tokenizer, temperature=0.5)
    assert max(copied_by_brute_force(one.text, [text])[0] for one in free) > 40
    limited = samples(kind, 100, tokens, tokenizer, temperature=0.5, max_copy=30)
    for sample in limited:
        runs = [sample.text[i : i + 31] for i in range(len(sample.text) - 30)]
        assert not any(run in text for run in runs)
    # and it is not only that little was written
    assert sum(len(sample.text) for sample in limited) > 100 * 60
    assert max(copied_by_brute_force(one.text, [text])[0] for one in limited[:5]) > 20


@pytest.mark.parametrize("kind", ["char", "bpe"])
@pytest.mark.parametrize("rules", [{"temperature": 0}, {"top_k": 2}, {"top_p": 0.3}])
@pytest.mark.parametrize("most", [1, 7])
def test_no_rule_lets_a_longer_copy_through(kind, rules, most):
    for sample in samples(kind, 3, 40, max_copy=most, **rules):
        assert longest_copy(sample.text, INDEX).characters <= most


def test_a_sample_stays_the_same_whatever_the_number_of_samples():
    many = samples("char", 6, 80, max_copy=10)
    assert samples("char", 2, 80, max_copy=10) == many[:2]
    assert len({sample.text for sample in many}) == 6


def test_a_limit_that_is_never_reached_changes_nothing():
    assert samples("bpe", 3, 50, max_copy=10_000) == samples("bpe", 3, 50)


def test_the_prompt_does_not_count():
    prompt, tokenizer = TEXT[100:160], learn_tokenizer("char", lambda: [TEXT])
    options = SamplingOptions(temperature=0, max_copy=12)
    keywords = {"max_tokens": 13, "seed": 1, "index": INDEX}
    (sample,) = Generator(counts_of(tokenizer), tokenizer, prompt, options, **keywords).samples()
    assert prompt + sample.text[:-1] == TEXT[100:172]
    assert sample.text not in TEXT


def six_letters():
    """Give a tokenizer of a to f, their ids, and how probable each is after anything: log p."""
    tokenizer = learn_tokenizer("char", lambda: ["abcdef"])
    letters = [int(token) for token in tokenizer.encode("abcdef")]
    table = np.full((tokenizer.vocab_size,) * 2, -np.inf)
    table[:, letters] = np.log([0.3, 0.25, 0.2, 0.1, 0.1, 0.05])
    return tokenizer, letters, table


@pytest.mark.parametrize("few", [2, 1000])
def test_what_remains_is_drawn_as_though_all_offenders_had_been_left_out(few, monkeypatch):
    monkeypatch.setattr(choosing, "FEW", few)
    tokenizer, letters, table = six_letters()
    table[tokenizer.encode("t"), letters[1:]] = -np.inf  # after the prompt: a
    predictor = Bigram(table, tokenizer.boundary_id)
    index = TextIndex.of("ab", "ac", "ad")
    table[predictor.boundary_id] = table[letters[0]]
    drawn = [
        sample.text
        for sample in samples("char", 3000, 2, tokenizer, predictor, index, max_copy=1)
        if sample.text[0] == "a"
    ]
    shares = {pair: drawn.count(pair) / len(drawn) for pair in set(drawn)}
    assert set(shares) == {"aa", "ae", "af"}
    for pair, share in {"aa": 0.3, "ae": 0.1, "af": 0.05}.items():
        assert shares[pair] == pytest.approx(share / 0.45, abs=0.06)


@pytest.mark.parametrize("few", [1, 1000])
def test_a_complete_text_ends_by_what_its_language_forbids_and_no_copy_would(few, monkeypatch):
    monkeypatch.setattr(choosing, "FEW", few)
    tokenizer, _, table = six_letters()
    predictor, index = Bigram(table, tokenizer.boundary_id), TextIndex.of("ab", "ac", "ae")
    keywords = {"max_copy": 1, "regex": "a[bcd]*"}
    drawn = samples("char", 600, 2, tokenizer, predictor, index, **keywords)
    assert {(each.text, each.stopped_by) for each in drawn} == {("a", "match"), ("ad", "length")}
    ended = np.mean([each.text == "a" for each in drawn])  # a, e and f end; b and c are no choice
    assert ended == pytest.approx(0.45 / 0.55, abs=0.06)


def test_a_sample_without_any_token_left_ends():
    tokenizer = learn_tokenizer("char", lambda: ["ab"])
    a, b = tokenizer.encode("ab")
    table = np.full((tokenizer.vocab_size,) * 2, -np.inf)
    table[:, [a, b]] = np.log(0.5)
    predictor, index = (
        Bigram(table, tokenizer.boundary_id),
        TextIndex.of("aaa", "aab", "bba", "bbb"),
    )
    stuck = samples("char", 20, 50, tokenizer, predictor, index, max_copy=2)
    for sample in stuck:
        if sample.text[-2:] in ("aa", "bb"):
            assert sample.stopped_by == "copy" and sample.tokens == len(sample.text) < 50
        assert "aa" not in sample.text[:-2] and "bb" not in sample.text[:-2]
        assert np.isfinite(sample.nats)
    assert {sample.stopped_by for sample in stuck} == {"copy"}


def test_senseless_limits_are_refused():
    with pytest.raises(UsageError, match=r"^max_copy must be 1 or more, not 0"):
        SamplingOptions(max_copy=0)
