"""Documents: files, lines or paragraphs; the text itself is never changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.text import documents
from charlm.text.documents import SPLITTERS

lines = st.lists(st.sampled_from(["a", "bb", "", "  ", "\n", "\n\n", "c\n"])).map("".join)


def gather(pieces):
    """Put the pieces of each document together."""
    found = []
    for piece in pieces:
        if piece.starts_document or not found:
            found.append("")
        found[-1] += piece.text
    return found


@pytest.mark.parametrize("kind", SPLITTERS)
@given(text=lines, size=st.integers(1, 5))
def test_the_text_is_kept_and_the_cutting_makes_no_difference(kind, text, size):
    cut = [text[i : i + size] for i in range(0, len(text), size)]
    pieces = list(SPLITTERS[kind](cut))
    assert "".join(piece.text for piece in pieces) == text
    assert gather(pieces) == gather(SPLITTERS[kind]([text]))


@given(lines)
def test_each_line_is_a_document(text):
    expected = [line + "\n" for line in text.split("\n")]
    expected[-1] = expected[-1][:-1]
    assert gather(SPLITTERS["line"]([text])) == [line for line in expected if line]


def test_blank_lines_end_documents_and_belong_to_the_one_before():
    text = "\none\nmore\n\n \ntwo\n\nthree"
    assert gather(SPLITTERS["blank"]([text])) == ["\none\nmore\n\n \n", "two\n\n", "three"]


def test_a_long_document_comes_in_parts(monkeypatch):
    monkeypatch.setattr(documents, "PART", 10)
    for kind in ("line", "blank"):
        pieces = list(SPLITTERS[kind](["x" * 8] * 10))
        assert len(pieces) > 3
        assert [piece.starts_document for piece in pieces] == [True] + [False] * (len(pieces) - 1)
