"""Lines as they come: however they are cut into chunks, and where one is no text."""

import pytest

from charlm.cli import lines
from charlm.cli.lines import byte_lines, text_lines
from charlm.errors import CorpusError

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
