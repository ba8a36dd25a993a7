"""Stop strings: found over any cutting; nothing of them, and nothing after them, gets out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.generation.stopping import StopFilter

letters = st.text(alphabet="ab\n", max_size=30)
stops = st.lists(st.text(alphabet="ab\n", min_size=1, max_size=4), max_size=3)


@given(letters, stops, st.integers(1, 5))
def test_however_the_text_is_cut_it_ends_before_the_first_stop_string(text, stops, size):
    places = [text.find(stop) for stop in stops if stop in text]
    found, given_out = StopFilter(stops), ""
    for start in range(0, len(text), size):
        given_out += found.push(text[start : start + size])
        if found.stopped:
            break
    else:
        given_out += found.flush()
    assert found.stopped == bool(places)
    expected = text
    if places:  # with pieces, the stop string that is complete first counts
        ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
        seen = text[: -(-min(ends) // size) * size]
        expected = text[: min(seen.find(stop) for stop in stops if stop in seen)]
    assert given_out == expected


def test_what_cannot_begin_a_stop_string_is_not_held_back():
    found = StopFilter(["\n\nEND"])
    assert found.push("one\n") == "one"
    assert found.push("two") == "\ntwo"


@pytest.mark.parametrize("stops", [[], [""]])
def test_without_stop_strings_everything_passes(stops):
    assert StopFilter(stops).push("anything") == "anything"
