"""Counting: by the quick way as one by one, however the text is cut; memory is bounded."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.text import counting
from charlm.text.counting import count_characters, count_pretokens, count_whole_words
from charlm.text.pretokens import complete_pretokens, find_pretokens
from charlm.text.tasks import ChunkCounting

ODD = st.text(alphabet=st.sampled_from("ab'. \n\r\t<x0é日\u3000\xa0🎉"), max_size=900)


def counted_one_by_one(texts, most):
    counts, rest = Counter(), ""
    for text in [*texts, None]:
        if text is None:
            found = find_pretokens(rest)
        else:
            found, rest = complete_pretokens(rest + text)
        counts.update(found)
        threshold = 1
        while len(counts) > most:
            counts = Counter({item: n for item, n in counts.items() if n > threshold})
            threshold += 1
    return counts


@settings(max_examples=60)
@given(ODD, st.integers(5, 400), st.sampled_from([20, 10**6]), st.sampled_from([3, 10**6]))
def test_pretokens_are_counted_and_thinned_out_as_one_by_one(text, size, most, chunks):
    text = text * 3
    texts = [text[start : start + size] for start in range(0, len(text), size)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "MAX_ENTRIES", most)
        patch.setattr(counting, "MAX_CHUNKS", chunks)
        patch.setattr(counting, "BATCH", 1000 if most > 1000 else 8)
        assert count_pretokens(texts) == counted_one_by_one(texts, most)


@given(st.lists(st.text(max_size=20)))
def test_every_character_is_counted(texts):
    assert count_characters(texts) == Counter("".join(texts))


@given(ODD, st.integers(1, 100))
def test_words_and_line_feeds_are_counted_however_the_text_is_cut(text, size):
    texts = [text[start : start + size] for start in range(0, len(text), size)]
    counts = count_whole_words(texts)
    lines = counts.pop("\n", 0)
    assert (counts, lines) == (Counter(text.split()), text.count("\n"))


def test_what_is_rare_is_forgotten(monkeypatch):
    monkeypatch.setattr(counting, "MAX_ENTRIES", 50)
    texts = [
        " ".join(f"w{i}" for i in range(k, k + 30)) + " common" * 3 + "\n"
        for k in range(0, 900, 30)
    ]
    for count, word in ((count_pretokens, " common"), (count_whole_words, "common")):
        counts = count(texts)
        assert len(counts) <= 50
        assert counts[word] == 90


def test_no_endless_chunk_is_kept(monkeypatch):
    counter = counting._PretokenCounter()
    for _ in range(3):
        counter.add(ChunkCounting().run("a " + "x" * 1000 + " b"), [])
    assert set(counter._chunks) == {"b"}
    assert counter.total()["x" * 64] == 3 * 14
