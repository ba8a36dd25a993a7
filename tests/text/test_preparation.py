"""Preparation: the cut, the vocabulary of the training text alone, what is refused."""

import math

import pytest

from charlm.errors import CorpusError
from charlm.text import preparation
from charlm.text.finding import open_corpus
from charlm.text.learning import learn_tokenizer
from charlm.text.preparation import TokenizerChoice, bpe_size, prepare
from charlm.text.sources import ReadOptions
from charlm.text.store import open_store


def prepared(path, tmp_path, kind="char", unknown="spell", **options):
    options.setdefault("raw", kind == "byte")
    with open_corpus([str(path)], ReadOptions(**options)) as corpus:
        return prepare(corpus, TokenizerChoice(kind, None, unknown), tmp_path / "out", replace=True)


@pytest.mark.parametrize("kind", ["byte", "char", "word", "bpe"])
def test_the_cut_is_the_same_for_every_tokenizer(text_file, tmp_path, kind):
    store = prepared(text_file, tmp_path, kind)
    text = text_file.read_text()
    cut = len(text) - (len(text) - int(len(text) * 0.9))
    assert store.tokenizer.decode(store.train.ids[1:-1].tolist()) == text[:cut]
    assert store.tokenizer.decode(store.valid.ids[1:-1].tolist()) == text[cut:]
    assert store.valid.counts().bytes == len(text) - cut


def test_tinyshakespeare_is_cut_as_everybody_cuts_it(shared_data, tmp_path):
    store = prepared(shared_data / "tinyshakespeare" / "input.txt", tmp_path)
    assert (store.train.counts().bytes, store.valid.counts().bytes) == (1_003_854, 111_540)


def test_the_closed_form_keeps_lines_whole(text_file, tmp_path):
    store = prepared(text_file, tmp_path, "word", "unk")
    assert store.train.ids[-1] == store.valid.ids[-1] == store.tokenizer.boundary_id
    counts, text = store.train.counts(), text_file.read_text()
    assert counts.lines + store.valid.counts().lines == text.count("\n")
    assert counts.tokens == counts.words + counts.lines


def test_documents_stay_whole(text_file, tmp_path):
    store = prepared(text_file, tmp_path, documents="line")
    assert store.train.ids[store.train.boundaries].tolist() == [store.tokenizer.boundary_id] * len(
        store.train.boundaries
    )
    assert store.valid.counts().documents == store.valid.counts().lines
    total = store.train.counts().documents + store.valid.counts().documents
    assert total == text_file.read_text().count("\n")


def test_the_vocabulary_comes_from_the_training_text_alone(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("abc " * 300 + "xyz " * 30)
    store = prepared(path, tmp_path)
    assert b"a" in store.tokenizer.pieces[:-257] and b"x" not in store.tokenizer.pieces[:-257]


def test_with_a_valid_file_nothing_is_cut(text_file, tmp_path):
    (tmp_path / "valid.txt").write_text("The cat sat.\n")
    with (
        open_corpus([str(text_file)]) as corpus,
        open_corpus([str(tmp_path / "valid.txt")]) as valid,
    ):
        store = prepare(corpus, TokenizerChoice("char"), tmp_path / "out", valid=valid)
    assert store.train.counts().bytes == text_file.stat().st_size
    assert store.valid.counts().bytes == 13


def test_a_tiny_corpus_has_nothing_held_out(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    store = prepared(tmp_path / "a.txt", tmp_path)
    assert store.valid is None and store.train.counts().tokens == 1


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b" \n\t \r\n"])
def test_no_text_is_refused(tmp_path, data):
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(CorpusError, match=r"no text in .*a\.txt"):
        prepared(tmp_path / "a.txt", tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "Much less than it was.\n"])
def test_a_file_that_shrinks_while_it_is_read_is_refused(text_file, tmp_path, monkeypatch, text):
    def learn(*arguments, **options):
        text_file.write_text(text)
        return learn_tokenizer("char", lambda: ["abc"])

    monkeypatch.setattr(preparation, "learn_tokenizer", learn)
    with pytest.raises(CorpusError, match="changed while it was read"):
        prepared(text_file, tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_store_of_another_format_is_refused(text_file, tmp_path, monkeypatch):
    store = prepared(text_file, tmp_path)
    monkeypatch.setattr("charlm.text.store.FORMAT", 2)
    with pytest.raises(CorpusError, match="another version"):
        open_store(store.directory)


def test_a_small_corpus_gets_characters_and_a_large_one_byte_pairs():
    choice = TokenizerChoice()
    assert choice.resolve(100_000) == ("char", None)
    assert choice.resolve(10_000_000) == ("bpe", bpe_size(10_000_000))
    assert 512 <= bpe_size(1) < bpe_size(10**6) < bpe_size(10**7) == bpe_size(10**12) == 8192


def test_with_little_time_for_much_text_it_gets_byte_pairs():
    choice, megabyte = TokenizerChoice(), 1_000_000
    assert choice.for_time(120, megabyte).resolve(megabyte) == ("char", None)
    assert choice.for_time(12, megabyte).resolve(megabyte) == ("bpe", 1536)
    assert choice.for_time(12, None).resolve(megabyte) == ("bpe", 1536)
    assert choice.for_time(12, 50_000).resolve(50_000) == ("char", None)
    assert choice.for_time(1e9, 10 * megabyte).resolve(10 * megabyte)[0] == "bpe"
    asked = TokenizerChoice("char")
    assert asked.for_time(1, megabyte) == asked
    # where the time makes no difference one prepared corpus serves for any
    assert choice.for_time(12, 100 * megabyte) == choice.for_time(math.inf, megabyte) == choice


def test_a_larger_text_never_gets_smaller_tokens():
    for seconds in (1, 12, 120, 240, 1000):
        kinds = []
        for size in range(2_000, 5_000_000, 49_999):  # the file's; a tenth of it is held out
            choice = TokenizerChoice().for_time(seconds, size)
            kinds.append(choice.resolve(size * 9 // 10)[0])
        first_pairs = kinds.index("bpe")
        assert set(kinds[:first_pairs]) <= {"char"} and set(kinds[first_pairs:]) == {"bpe"}


def test_invalid_bytes_are_told(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"good text\n" * 1000 + b"\xff\n")
    told = []
    with open_corpus([str(tmp_path / "a.txt")]) as corpus:
        prepare(corpus, TokenizerChoice("char"), tmp_path / "out", tell=told.append)
    assert "1 invalid bytes became U+FFFD" in told[0]
