"""Pre-tokens: they join to the text, mix no letters with punctuation, can be cut anywhere."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from charlm.text import pretokens
from charlm.text.pretokens import (
    BLANKS,
    LINE_ENDS,
    ODD_BLANKS,
    PRETOKEN,
    PUNCTUATION,
    TYPED_PATTERN,
    WORD,
    WORD_PATTERN,
    complete_chunks,
    complete_pretokens,
    complete_words,
    find_chunks,
    find_pretokens,
)

ODD = st.text(
    alphabet=st.sampled_from("ab'\u2019 \n\r\t.<>|x0é日\u3000\xa0\x00\u200d🎉"), max_size=600
)


@given(st.one_of(st.text(), ODD))
def test_they_join_to_the_text(text):
    assert "".join(find_pretokens(text)) == text


def test_every_character_there_is_belongs_to_one():
    everything = "".join(chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000)
    assert "".join(find_pretokens(everything)) == everything


def test_blanks_are_what_python_calls_white_space():
    everything = "".join(chr(i) for i in range(0x110000))
    blanks = set(re.findall(f"[{BLANKS}{LINE_ENDS}]", everything))
    assert blanks == {c for c in everything if c.isspace()}
    assert set(ODD_BLANKS) == blanks - set(f" {LINE_ENDS}")


@given(st.one_of(st.text(), ODD))
def test_none_mixes_letters_with_punctuation(text):
    punctuation, letters = re.compile(f"[{PUNCTUATION}]"), re.compile(WORD)
    for found in find_pretokens(text):
        bare = re.sub("(?<=[^ ])['\u2019](?=[^ ])", "", found)
        assert not (punctuation.search(bare) and letters.search(bare)), found


@given(st.one_of(st.text(), ODD))
def test_the_library_cuts_the_same(text):
    split = pre_tokenizers.Split(Regex(PRETOKEN), "isolated")
    assert [piece for piece, _ in split.pre_tokenize_str(text)] == find_pretokens(text)


@given(ODD, st.integers(1, 40))
def test_a_text_in_pieces_is_cut_like_the_whole(text, size):
    text, found, rest = text * 3, [], ""
    for start in range(0, len(text), size):
        ready, rest = complete_pretokens(rest + text[start : start + size])
        found += ready
    assert found + find_pretokens(rest) == find_pretokens(text)


SPACED = st.text(alphabet=st.sampled_from("ab'. \n"), max_size=300)


@given(st.one_of(st.text(), ODD, SPACED), st.sampled_from([20, 8192]), st.sampled_from([0, 64]))
def test_the_pretokens_of_chunks_are_those_of_the_text(text, block, many):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretokens, "BLOCK", block)
        patch.setattr(pretokens, "MANY", many)
        first, *others = find_chunks(text)
    assert " ".join([first, *others]) == text
    found = [pretoken for chunk in others for pretoken in find_pretokens(" " + chunk)]
    assert find_pretokens(first) + found == find_pretokens(text)


@given(st.one_of(ODD, SPACED), st.integers(1, 400))
def test_a_text_in_pieces_is_cut_into_chunks_like_the_whole(text, size):
    text, found, rest = text * 4, [], ""
    for start in range(0, len(text), size):
        whole, rest = complete_chunks(rest + text[start : start + size])
        found += find_pretokens(whole)
    assert found + find_pretokens(rest) == find_pretokens(text)


def test_memory_is_bounded_in_one_endless_word():
    rest = ""
    for _ in range(50):
        _, rest = complete_pretokens(rest + "x" * 1000)
        assert len(rest) < 1000


def test_words_keep_their_space_and_their_apostrophe():
    got = find_pretokens("Don't stop,  can’t\n\n  stop")
    assert got == ["Don't", " stop", ",", " ", " can’t", "\n\n", " ", " stop"]


@given(ODD)
def test_complete_words_holds_back_only_the_last_piece(text):
    part, rest = complete_words(text)
    assert part + rest == text
    assert not any(c.isspace() for c in rest)
    assert not part or part[-1].isspace()


@pytest.mark.parametrize(
    "text, typed",
    [
        ("the cat sa", " sa"),
        ("sa", "sa"),
        ("the cat ", " "),
        ("the cat  ", " "),
        ("line\n", ""),
        ("line\nne", "ne"),
        ("Hello,", ""),
        ("I don't", " don't"),
        ("I don'", " don'"),
        ("", ""),
    ],
)
def test_what_is_typed_of_a_word_is_found(text, typed):
    found = TYPED_PATTERN.search(text)
    assert (found.group() if found else "") == typed


def test_a_word_may_have_several_apostrophes():
    assert WORD_PATTERN.fullmatch("rock'n'roll")
    assert not WORD_PATTERN.fullmatch("'tis ")
