"""A prepared text decoded: every document whole, in order; of too much, the end."""

import pytest

from charlm.text.decoding import decoded
from charlm.text.finding import open_corpus
from charlm.text.preparation import TokenizerChoice, prepare
from charlm.text.sources import ReadOptions

LINES = "the cat sat\n  on a mat, привет 日本!\n\nno <unk>  dog\tate\nZoë\n" * 9
CHOICES = {
    "byte": TokenizerChoice("byte"),
    "char": TokenizerChoice("char", 262),
    "word": TokenizerChoice("word", 270),
    "bpe": TokenizerChoice("bpe", 280),
    "closed": TokenizerChoice("word", 8, unknown="unk"),
}


def store_of(tmp_path, kind, data, documents="file"):
    (tmp_path / "text").write_bytes(data)
    options = ReadOptions(documents=documents, raw=kind == "byte")
    (tmp_path / "valid").write_text("held out")
    with (
        open_corpus([str(tmp_path / "text")], options) as corpus,
        open_corpus([str(tmp_path / "valid")], options) as valid,
    ):
        return prepare(corpus, CHOICES[kind], tmp_path / "store", valid=valid)


def decode(store, most=1 << 30, chunk=7):
    text = decoded(store.train, store.tokenizer, most, chunk)
    return b"".join(text.chunks), text.skipped


@pytest.mark.parametrize("documents", ["file", "line", "blank"])
@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_decoded_is_the_text_itself_with_a_border_after_each_document(tmp_path, kind, documents):
    data, skipped = decode(store_of(tmp_path, kind, LINES.encode(), documents))
    *parts, rest = data.split(b"\xff")
    assert b"".join(parts) == LINES.encode() and rest == b"" and skipped == 0
    if documents == "line":
        assert parts == [line.encode() for line in LINES.splitlines(keepends=True)]
    elif documents == "file":
        assert len(parts) == 1
    else:
        assert len(parts) == 10


@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("documents", ["file", "line"])
def test_the_closed_form_gives_its_words_as_it_writes_them(tmp_path, documents, end):
    text = LINES.removesuffix("\n") + end
    store = store_of(tmp_path, "closed", text.encode(), documents)
    data, _ = decode(store)
    tokenizer = store.tokenizer
    expected = tokenizer.decode(tokenizer.encode(text))
    whole = data.replace(b"\xff", b"").decode()
    assert whole.removesuffix("\n") == expected.removesuffix("\n")
    assert data.count(b"\xff") == (1 if documents == "file" else 45)


def test_what_is_no_text_is_marked_byte_for_byte(tmp_path):
    raw = b"ab\xc3\xa9\xff\xfec\xe6\x97d\xef\xbf\xbde\x00" * 5 + b"\xe6\x97"
    data, _ = decode(store_of(tmp_path, "byte", raw))
    expected = b"ab\xc3\xa9\xfe\xfec\xfe\xfed\xfe\xfe\xfee\x00" * 5 + b"\xfe\xfe" + b"\xff"
    assert data == expected


@pytest.mark.parametrize("kind", [*CHOICES])
@pytest.mark.parametrize("most", [1, 50, 120, 10_000])
def test_of_too_much_only_the_end_is_given_and_the_rest_measured(tmp_path, kind, most):
    store = store_of(tmp_path, kind, LINES.encode())
    whole, _ = decode(store)
    data, skipped = decode(store, most)
    assert len(data) - 1 <= max(most, 200) and skipped + len(data) == len(whole)
    # where a character was cut in two, its rest is marked
    assert whole.endswith(data.lstrip(b"\xfe"))
