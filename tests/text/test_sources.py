"""Sources: every way to name a text, every state a file can be in; nothing is lost silently."""

import gzip
import io
import lzma
import os
import socket
import tarfile
import threading

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError, UsageError
from charlm.text import reading, sources
from charlm.text.finding import corpus_from_text, open_corpus, run_name
from charlm.text.sources import ReadOptions

COMPRESSIONS = [gzip.compress, lzma.compress, zstandard.ZstdCompressor().compress]
TEXT = "Hello, world.\nПривет, мир.\n日本語 🎉\n"


def read(*paths, stdin=None, **options):
    with open_corpus([str(p) for p in paths], ReadOptions(**options), stdin) as corpus:
        pieces = [piece.text for piece in corpus.pieces()]
        return (b"" if options.get("raw") else "").join(pieces), corpus.report()


def refusal(*paths, **options):
    with pytest.raises(CorpusError) as caught:
        read(*paths, **options)
    return f"{caught.value.message} / {caught.value.hint}"


@pytest.fixture
def file(tmp_path):
    def make(data, name="a.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return make


def test_a_file_gives_its_text(file):
    assert read(file(TEXT))[0] == TEXT


def test_several_files_are_several_documents(file):
    with open_corpus([str(file("one\n", "a.txt")), str(file("two\n", "b.txt"))]) as corpus:
        assert [tuple(piece) for piece in corpus.pieces()] == [("one\n", True), ("two\n", True)]


def test_a_corpus_can_be_walked_again(file):
    with open_corpus([str(file(TEXT))]) as corpus:
        assert list(corpus.pieces()) == list(corpus.pieces())


@pytest.mark.parametrize("compress", COMPRESSIONS, ids=["gz", "xz", "zst"])
def test_compression_is_seen_through_whatever_the_name(file, compress):
    assert read(file(compress(TEXT.encode()), "a.txt"))[0] == TEXT
    assert read(file(compress(TEXT.encode()) * 2, "a.txt"))[0] == TEXT * 2


@pytest.mark.parametrize("compress", COMPRESSIONS, ids=["gz", "xz", "zst"])
def test_a_torn_compressed_file_is_refused(file, compress):
    data = compress(os.urandom(5000).hex().encode())
    assert "a.gz" in refusal(file(data[: len(data) // 2], "a.gz"))
    if compress is COMPRESSIONS[2]:
        return  # zstd frames need no checksum, and a changed byte may give other text
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 0xFF
    assert "a.gz" in refusal(file(bytes(damaged), "a.gz"))


def test_standard_input_is_kept_for_a_second_walk_and_then_removed(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_corpus(["-"], ReadOptions(), io.BytesIO(TEXT.encode())) as corpus:
        assert [piece.text for piece in corpus.pieces()] == [TEXT]
        assert [piece.text for piece in corpus.pieces()] == [TEXT]
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_read_like_standard_input(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(TEXT,))
    writer.start()
    assert read(tmp_path / "pipe")[0] == TEXT
    writer.join()


def test_nothing_named_is_the_text_that_ships_with_python():
    text, _ = read()
    assert len(text) > 300_000 and "The class statement" not in text[:10]
    assert run_name([]) == "python-topics"


def test_a_directory_gives_its_text_files_in_order_and_tells_what_it_left_out(file, tmp_path):
    file("two\n", "d/b.abc")
    file("one\n", "d/a/x.txt")
    file("hidden\n", "d/.git/x.txt")
    file(b"\x89PNG\r\n\x1a\n\0\0", "d/c.png")
    file(bytes(range(256)) * 50, "d/e.bin")
    text, report = read(tmp_path / "d")
    assert text == "two\none\n"
    assert len(report.skipped) == 2 and "PNG" in report.lines()[0]


def test_a_directory_without_text_is_refused(file, tmp_path):
    file(b"\x89PNG\r\n", "d/c.png")
    (tmp_path / "empty").mkdir()
    assert "no text file" in refusal(tmp_path / "d")
    assert "no text file" in refusal(tmp_path / "empty")


def test_globs_are_expanded_where_the_shell_left_them(file, tmp_path):
    file("one\n", "d/a.txt")
    file("two\n", "d/e/b.txt")
    assert read(tmp_path / "d" / "**" / "*.txt")[0] == "one\ntwo\n"
    assert read(tmp_path / "d" / "**")[0] == "one\ntwo\n"
    assert "no file matches" in refusal(tmp_path / "*.nothing")


def test_a_file_whose_name_looks_like_a_glob_is_itself(file):
    assert read(file(TEXT, "a[1].txt"))[0] == TEXT


def test_a_missing_file_is_named_with_the_one_that_was_meant(file, tmp_path):
    file(TEXT, "book.txt")
    said = refusal(tmp_path / "bok.txt")
    assert "No such file" in said and "did you mean" in said and "book.txt" in said


def test_what_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "did you mean" not in refusal(tmp_path / "loop")
    refusal("a\0b")
    refusal("x" * 300 + "/y")
    assert "not a file" in refusal("/dev/null")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert "not a file" in refusal(tmp_path / "socket")


def test_a_byte_order_mark_is_dropped_and_line_ends_are_kept(file):
    text, report = read(file(b"\xef\xbb\xbfone\r\ntwo\rthree\n\xef\xbb\xbf"))
    assert text == "one\r\ntwo\rthree\n\ufeff"
    assert report.byte_order_marks == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le"])
@pytest.mark.parametrize("text", ["Some plain English text.\n", "Some plain Русский текст.\n"])
def test_wide_text_is_recognised_and_its_encoding_named(file, encoding, text):
    path = file((text * 30).encode(encoding))
    said = refusal(path)
    named = encoding if encoding in said else encoding[:6]
    assert f"--encoding {named}" in said
    assert read(path, encoding=encoding)[0].lstrip("\ufeff").startswith("Some plain")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1251"])
def test_another_encoding_is_refused_with_the_option_to_pass(file, encoding):
    text = "Größe, naïve café\n" * 20 if encoding == "latin-1" else "Привет, мир\n" * 20
    path = file(text.encode(encoding))
    assert "--encoding" in refusal(path) and "line 1, byte offset" in refusal(path)
    assert read(path, encoding=encoding)[0] == text


def test_an_unknown_encoding_is_a_usage_error():
    for name in ("utf-9", "rot13", "hex", "", "idna", "punycode", "unicode_escape"):
        with pytest.raises(UsageError, match="no encoding"):
            ReadOptions(encoding=name)


def test_few_invalid_bytes_are_replaced_counted_and_placed(file):
    data = b"good line\n" * 500 + b"bad \xff byte\n" + b"good line\n" * 500
    text, report = read(file(data))
    assert text.count("\ufffd") == 1 and report.invalid_bytes == 1
    assert "line 501, byte offset 5004" in report.first_invalid
    assert "line 501, byte offset 5004" in refusal(file(data), strict=True)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "shift_jis"])
def test_the_first_invalid_byte_is_placed_exactly(file, encoding):
    path = file(b"good line\n" * 150_000 + b"bad \xff byte\n")
    assert "line 150001, byte offset 1500004" in refusal(path, strict=True, encoding=encoding)


def test_a_mark_before_text_of_a_named_wide_encoding_is_dropped(file):
    path = file("A text.".encode("utf-16"))
    encoding = "utf-16-le" if path.read_bytes()[0] == 0xFF else "utf-16-be"
    text, report = read(path, encoding=encoding)
    assert text == "A text." and report.byte_order_marks == 1


def test_megabytes_of_invalid_bytes_take_no_longer_than_text(file):
    assert "1,048,575 invalid bytes" in refusal(file(b"\xe0" * (1 << 21)))


def test_many_invalid_bytes_are_refused(file):
    assert "--encoding" in refusal(file(b"good line \xff\n" * 500))


def test_a_character_cut_off_at_the_end_is_counted(file):
    text, report = read(file(b"plain text\n" * 500 + "é".encode()[:1]))
    assert text.endswith("\n\ufffd") and report.invalid_bytes == 1


@settings(max_examples=60, deadline=None)
@given(st.text(), st.lists(st.binary(min_size=1, max_size=2), max_size=3), st.integers(1, 9))
def test_where_a_piece_ends_makes_no_difference(text, junk, size):
    data = text.encode() + b"".join(junk) + text.encode()
    whole = reading.Decoding("utf-8", "x")
    expected = whole.decode(data) + whole.decode(b"", final=True)
    cut = reading.Decoding("utf-8", "x")
    got = "".join(cut.decode(data[i : i + size]) for i in range(0, len(data), size))
    assert got + cut.decode(b"", final=True) == expected
    assert expected == data.decode("utf-8-sig", "replace")
    assert (cut.invalid_bytes, cut.first_invalid) == (whole.invalid_bytes, whole.first_invalid)


def test_a_binary_file_is_refused_unless_it_is_read_raw(file):
    data = bytes(range(256)) * 100
    path = file(data, "a.bin")
    assert "binary" in refusal(path) and "--tokenizer byte" in refusal(path)
    assert read(path, raw=True)[0] == data


@pytest.mark.parametrize(
    "magic, name",
    [
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\x03\x04", "zip"),
        (b"PAR1", "Parquet"),
        (b"BZh91AY&SY", "bzip2"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_what_a_foreign_file_is_is_said(file, magic, name):
    assert name in refusal(file(magic + b"and some text" * 10, "a.txt"))


def test_a_tar_archive_is_not_read_as_the_text_in_it(file):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(file(TEXT * 1000))
    assert "tar" in refusal(file(buffer.getvalue(), "a.tgz"))


def test_text_with_zero_bytes_is_not_taken_for_wide_text(file):
    assert "utf-16" not in refusal(file(b"hello\0 world\n" * 100))


def test_text_that_begins_like_a_magic_number_is_text(file):
    assert read(file("BZhivago, a novel\n"))[0] == "BZhivago, a novel\n"


def test_raw_bytes_are_not_decompressed_nor_stripped(file):
    for data in (gzip.compress(b"abc"), b"\xef\xbb\xbfabc", "é".encode("utf-16")):
        assert read(file(data), raw=True)[0] == data


def test_zero_bytes_in_a_text_are_kept_and_counted(file):
    text, report = read(file("plain text\n" * 100 + "\0" + "plain text\n" * 100))
    assert text.count("\0") == 1 and report.zero_bytes == 1 and "NUL" in report.lines()[0]


def test_one_endless_line_comes_in_pieces(file, monkeypatch):
    monkeypatch.setattr(reading, "PIECE", 1000)
    path = file("ж" * 5000)
    with open_corpus([str(path)]) as corpus:
        pieces = list(corpus.pieces())
    assert len(pieces) >= 10 and "".join(piece.text for piece in pieces) == "ж" * 5000
    assert [piece.starts_document for piece in pieces] == [True] + [False] * (len(pieces) - 1)


def test_the_fingerprint_changes_with_the_file(file):
    path = file(TEXT)
    before = open_corpus([str(path)]).fingerprint()
    assert open_corpus([str(path)]).fingerprint() == before
    os.utime(path, ns=(1, 1))
    assert open_corpus([str(path)]).fingerprint() != before
    assert open_corpus([str(path)], ReadOptions(strict=True)).fingerprint() != before


@pytest.mark.parametrize(
    "path, name",
    [("a/book.txt.gz", "book"), ("-", "stdin"), ("my file (1).txt", "my-file--1"), (".x", "x")],
)
def test_a_run_is_named_after_its_text(path, name):
    assert run_name([path]) == name


def test_a_text_at_hand_is_a_corpus():
    assert [piece.text for piece in corpus_from_text(TEXT).pieces()] == [TEXT]
    assert sources.Corpus is type(corpus_from_text(b"x"))
    with pytest.raises(CorpusError, match="lone surrogate"):
        corpus_from_text("x\ud800")
