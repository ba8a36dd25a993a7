"""Lines as they come: however they are cut into chunks, and where one is no text."""

import pytest

from charlm.cli import lines
from charlm.cli.lines import byte_lines, corpus_lines, text_lines
from charlm.errors import CorpusError
from charlm.text.finding import open_corpus
from charlm.text.sources import ReadOptions

TEXT = "\ufeffcafé\r\n\n中 文\rstill the same\nlast"


@pytest.fixture(params=[1, 2, 3, 7, 1 << 20])
def chunk(request, monkeypatch):
    monkeypatch.setattr(lines, "CHUNK", request.param)
    return request.param


def test_lines_do_not_depend_on_the_chunks_they_come_in(chunk, tmp_path):
    (tmp_path / "text").write_bytes(TEXT.encode())
    found = [line for some in text_lines(str(tmp_path / "text")) for line in some]
    assert found == ["café", "", "中 文\rstill the same", "last"]
    raw = [line for some in byte_lines(str(tmp_path / "text")) for line in some]
    assert b"\n".join(raw) == TEXT.encode().replace(b"\r\n", b"\n")


@pytest.mark.parametrize("odd", [b"\xe9", b"\xe4\xb8", b"\xff\xfe", b"\xf0\x9f\x8e!"])
@pytest.mark.parametrize("behind", [b"", b" and more\n"])
def test_what_is_no_text_is_told_with_its_place(chunk, tmp_path, odd, behind):
    before = TEXT.encode() + b"\ncaf"
    (tmp_path / "text").write_bytes(before + odd + behind)
    with pytest.raises(CorpusError) as error:
        list(text_lines(str(tmp_path / "text")))
    assert f"line 5, byte offset {len(before)}" in error.value.message


def test_the_place_counts_a_byte_order_mark_where_there_is_nothing_else(chunk, tmp_path):
    (tmp_path / "text").write_bytes("\ufeff".encode() + b"\n\xff")
    with pytest.raises(CorpusError, match="line 2, byte offset 4"):
        list(text_lines(str(tmp_path / "text")))


def read(path, *options):
    """Give the lines of a file read as a corpus, and what is told."""
    told = []
    found = corpus_lines(str(path), ReadOptions(*options), told.append)
    return [line for some in found for line in some], told


@pytest.mark.parametrize("odd", [b"\xe9", b"\xe4\xb8", b"\xff\xfe"])
def test_a_few_invalid_bytes_are_replaced_and_told_as_of_a_corpus(chunk, tmp_path, odd):
    data = TEXT.encode() + b"\n" + b"some words more\r\n" * 200 + b"caf" + odd
    (tmp_path / "text").write_bytes(data)
    lines, told = read(tmp_path / "text")
    with open_corpus([str(tmp_path / "text")]) as corpus:
        text = "".join(piece.text for piece in corpus.pieces())
        assert told == corpus.report().lines() and f"offset {len(data) - len(odd)}" in told[0]
    assert "\n".join(lines) == text.replace("\r\n", "\n") and lines[-1].startswith("caf\ufffd")
    with pytest.raises(CorpusError, match=r"1 invalid|2 invalid") as error:
        read(tmp_path / "text", "utf-8", True)
    assert error.value.hint == "leave out --strict to have them replaced"


def test_too_many_invalid_bytes_end_it_where_the_chunk_is_read_in_which_they_become(
    chunk, tmp_path
):
    data = b"fine\n" * 500 + b"caf\xe9\n" * 500
    (tmp_path / "text").write_bytes(data)
    given = []
    with pytest.raises(CorpusError, match="the first at line 501, byte offset 2503") as error:
        for some in corpus_lines(str(tmp_path / "text"), ReadOptions(), pytest.fail):
            given += some
    assert "--encoding latin-1" in error.value.hint
    assert given == ([] if chunk > len(data) else ["fine"] * 500 + ["caf\ufffd"] * 2)
    assert read(tmp_path / "text", "latin-1")[0] == ["fine"] * 500 + ["café"] * 500


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        ("some words\n".encode("utf-16"), "is UTF-16 text", "pass --encoding utf-16"),
        (b"s\0o\0 \0m\0\n\0" * 9, "looks like UTF-16-LE", "pass --encoding utf-16-le"),
        (b"%PDF-1.7\n\xe2\xe3\xcf\xd3", "is a PDF document", "extract its text"),
    ],
)
def test_what_is_no_utf8_is_recognised_by_its_beginning(tmp_path, data, message, hint):
    (tmp_path / "text").write_bytes(data)
    with pytest.raises(CorpusError, match=message) as error:
        read(tmp_path / "text")
    assert hint in error.value.hint


def test_any_characters_are_lines_where_each_byte_is_valid(tmp_path):
    (tmp_path / "text").write_bytes(b"\x1b[1m\x01\n%PDF-\n")
    assert read(tmp_path / "text") == (["\x1b[1m\x01", "%PDF-"], [])
    (tmp_path / "text").write_bytes("née\r\n\nlast".encode("utf-16"))
    assert read(tmp_path / "text", "utf-16") == (["née", "", "last"], [])
