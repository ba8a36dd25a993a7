"""Units: the same counts however a text is cut, the same for text and for its bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.text import units
from charlm.text.units import UnitCounter, Units, count_bytes, count_units, count_words


@given(st.text(), st.lists(st.integers(0, 50)))
def test_how_a_text_is_cut_makes_no_difference(text, cuts):
    counter = UnitCounter()
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    for start, end in pairwise(edges):
        counter.add(text[start:end])
    assert counter.total() == count_units(text)


@given(st.text())
def test_counts_are_those_of_the_whole_text(text):
    got = count_units(text)
    assert got == Units(len(text.encode()), len(text), len(text.split()), text.count("\n"))


@given(st.text(), st.integers(0, 20))
def test_bytes_count_as_their_text_even_cut_inside_a_character(text, cut):
    data = text.encode()
    counter = UnitCounter()
    counter.add(data[:cut])
    counter.add(data[cut:])
    assert counter.total() == count_units(text)


def test_bytes_that_are_no_text_still_have_their_number():
    got = count_units(b"\xff\xfe ab")
    assert (got.bytes, got.words) == (5, 2)


def test_units_add_up():
    assert Units(1, 2, 3, 4) + Units(5, 6, 7, 8) == Units(6, 8, 10, 12)


@pytest.mark.parametrize("between", ["", " ", "é", "\u3000", "🎉"])
def test_words_are_counted_in_an_array_as_str_split_finds_them(monkeypatch, between):
    monkeypatch.setattr(units, "LARGE", 1)
    spaces = [chr(i) for i in range(0x110000) if chr(i).isspace()]
    for edge in ("", "a", " ", "\x1c", "\u3000"):
        text = edge + between.join(f"a{space}b{space}{space}" for space in spaces) + edge
        assert count_words(text) == len(text.split())
    for code in range(128):
        assert count_words("a" + chr(code)) + count_words(chr(code) + "a") == len(
            f"a{chr(code)} {chr(code)}a".split()
        )


@given(st.text(alphabet=st.characters(codec=None), min_size=1))
def test_bytes_are_counted_in_an_array_as_utf8_has_them(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "LARGE", 1)
        assert count_bytes(text) == len(text.encode("utf-8", "surrogatepass"))
