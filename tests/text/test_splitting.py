"""The held-out text: the last tenth, cut between characters, lines or documents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.text.documents import Piece
from charlm.text.splitting import Split, held_out_offset, split_pieces


def split(texts, offset, border="character", starts=None):
    starts = starts or [True] + [False] * (len(texts) - 1)
    pieces = [Piece(text, start) for text, start in zip(texts, starts, strict=True)]
    found = {"train": [], "valid": []}
    for part, piece in split_pieces(pieces, Split(offset, border)):
        found[part].append(piece)
    return found


def text(pieces):
    return "".join(piece.text for piece in pieces)


def test_a_tenth_is_held_out_but_at_most_a_million_bytes():
    assert held_out_offset(1_115_394) == 1_003_854
    assert held_out_offset(500_000_000) == 499_000_000
    assert held_out_offset(50) is None


@given(st.lists(st.text(max_size=10), min_size=1), st.integers(0, 120))
def test_nothing_is_lost_and_the_cut_is_where_it_should_be(texts, offset):
    found = split(texts, offset)
    whole = "".join(texts)
    assert text(found["train"]) + text(found["valid"]) == whole
    size = len(text(found["train"]).encode())
    assert size >= min(offset, len(whole.encode()))
    assert size - offset < 4 or not text(found["valid"])


def test_bytes_that_are_no_text_are_cut_too():
    found = split([b"\xff\xfe\x00\x01"], 2)
    assert b"".join(piece.text for piece in found["train"]) == b"\xff\xfe"


@pytest.mark.parametrize("offset, expected", [(1, "ab\n"), (3, "ab\n"), (4, "ab\ncd\n")])
def test_a_line_stays_whole(offset, expected):
    assert text(split(["ab\nc", "d\nef\n"], offset, "line")["train"]) == expected


def test_a_document_stays_whole():
    found = split(["ab", "cd", "ef"], 1, "document", [True, False, True])
    assert (text(found["train"]), text(found["valid"])) == ("abcd", "ef")


def test_the_held_out_text_begins_a_document():
    assert split(["abcdef"], 3)["valid"][0] == Piece("def", True)


def test_a_line_that_a_file_leaves_open_ends_with_the_file():
    found = split(["ab\ncd", "ef\ngh\n"], 4, "line", [True, True])
    assert (text(found["train"]), text(found["valid"])) == ("ab\ncd", "ef\ngh\n")
