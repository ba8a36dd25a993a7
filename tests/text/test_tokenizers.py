"""Tokenizers: lossless, independent of how text is cut, the same in the library, unforgeable."""

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError, UsageError
from charlm.text import vocabularies
from charlm.text.learning import learn_tokenizer
from charlm.text.pretokens import MAX_WORD

TEXT = (
    "The cat sat on the mat; the dog didn't. <unk> <eos> <0x41> <|endoftext|>\n"
    "Онегин, добрый мой приятель,\nРодился на брегах Невы. 日本語 é\n"
) * 20
CORPUS = [TEXT[i : i + 100] for i in range(0, len(TEXT), 100)]
LOSSLESS = {
    "byte": learn_tokenizer("byte", lambda: CORPUS),
    "char": learn_tokenizer("char", lambda: CORPUS),
    "word": learn_tokenizer("word", lambda: CORPUS),
    "bpe": learn_tokenizer("bpe", lambda: CORPUS, vocab_size=400),
}
CLOSED = learn_tokenizer("word", lambda: CORPUS, unknown="unk")
ALL = [*LOSSLESS.values(), CLOSED]
LIBRARY = {id(t): tokenizers.Tokenizer.from_str(t.to_json()) for t in ALL}

FORGERIES = [
    "<|endoftext|>",
    "<eos>",
    "<unk>",
    "<0x41>",
    "<0x0A>",
    " <eos> ",
    "x<eos>y",
    "\n<eos>\n",
]
texts = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(FORGERIES),
        st.sampled_from(
            ["the", " cat", "\n", "\r\n", "  ", "\x00", "🎉", "e\u0301", "\u200d", "\x1c"]
        ),
    ),
    max_size=12,
).map("".join)


def names(tokenizer):
    return "closed" if tokenizer.closed else tokenizer.kind


@pytest.mark.parametrize("kind", LOSSLESS)
@given(text=texts)
def test_decoding_gives_the_text_back(kind, text):
    tokenizer = LOSSLESS[kind]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids.tolist()) == text
    assert tokenizer.decode_bytes(ids.tolist()) == text.encode()


@pytest.mark.parametrize("tokenizer", ALL, ids=names)
@given(text=texts)
def test_the_library_alone_gives_the_same_ids_and_text(tokenizer, text):
    ids = tokenizer.encode(text).tolist()
    library = LIBRARY[id(tokenizer)]
    assert library.encode(text).ids == ids
    if not tokenizer.closed:
        assert library.decode(ids) == text


@pytest.mark.parametrize("tokenizer", ALL, ids=names)
@settings(max_examples=40)
@given(text=texts, size=st.integers(1, 30))
def test_any_cutting_gives_the_ids_of_the_whole(tokenizer, text, size):
    text = text * 8
    encoder = tokenizer.encoder()
    ids = [encoder.push(text[start : start + size]) for start in range(0, len(text), size)]
    got = np.concatenate([*ids, encoder.flush()]) if ids else encoder.flush()
    assert got.tolist() == tokenizer.encode(text).tolist()


@settings(max_examples=20)
@given(start=st.integers(0, 1100), length=st.integers(900, 4000), size=st.integers(1, 700))
def test_an_endless_word_is_not_held_in_memory(start, length, size):
    text = "a " * (start // 2) + "x" * length + " the\n"
    encoder, ids = CLOSED.encoder(), []
    for at in range(0, len(text), size):
        ids += encoder.push(text[at : at + size]).tolist()
        assert len(encoder._rest) <= MAX_WORD + 1
    assert ids + encoder.flush().tolist() == LIBRARY[id(CLOSED)].encode(text).ids


@pytest.mark.parametrize("kind", LOSSLESS)
@given(text=texts)
def test_text_never_becomes_the_boundary(kind, text):
    tokenizer = LOSSLESS[kind]
    assert tokenizer.boundary_id not in tokenizer.encode(text)


@given(text=texts)
def test_in_the_closed_form_only_line_ends_become_eos(text):
    ids = CLOSED.encode(text).tolist()
    assert ids.count(CLOSED.boundary_id) == text.count("\n")
    assert len(ids) == len(text.split()) + text.count("\n")


@pytest.mark.parametrize("kind", LOSSLESS)
@given(text=texts)
def test_decoding_one_by_one_never_gives_half_a_character(kind, text):
    tokenizer = LOSSLESS[kind]
    decoder = tokenizer.decoder()
    pieces = [decoder.push([token]) for token in tokenizer.encode(text).tolist()]
    assert "".join([*pieces, decoder.flush()]) == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


def test_a_character_cut_off_at_the_end_is_replaced():
    decoder = LOSSLESS["byte"].decoder()
    assert decoder.push("é".encode()[:1]) == ""
    assert decoder.flush() == "\ufffd"


@given(st.binary())
def test_the_byte_tokenizer_reads_anything_raw(data):
    tokenizer = LOSSLESS["byte"]
    ids = tokenizer.encode(data).tolist()
    assert ids == list(data)
    assert tokenizer.decode_bytes(ids) == data


def test_byte_ids_are_the_bytes_and_then_the_boundary():
    assert LOSSLESS["byte"].vocab_size == 257
    assert LOSSLESS["byte"].boundary_id == 256


@pytest.mark.parametrize("tokenizer", ALL, ids=names)
def test_no_token_is_an_added_one(tokenizer):
    library = LIBRARY[id(tokenizer)]
    assert library.get_added_tokens_decoder() == {}
    assert library.get_vocab_size() == tokenizer.vocab_size == len(tokenizer.pieces)


def test_an_unknown_word_is_spelled_and_a_known_one_is_one_token():
    tokenizer = LOSSLESS["word"]
    assert len(tokenizer.encode(" the")) == 1
    assert len(tokenizer.encode(" zzz")) == 4
    assert tokenizer.decode(tokenizer.encode("<0x41>").tolist()) == "<0x41>"


def test_the_closed_form_knows_its_unknown_symbol_and_its_lines():
    unknown, end = CLOSED.unknown_id, CLOSED.boundary_id
    assert CLOSED.encode("nevermet <unk>\n<eos>\n").tolist() == [
        unknown,
        unknown,
        end,
        unknown,
        end,
    ]
    assert CLOSED.decode(CLOSED.encode("The cat\nsat on\n").tolist()) == "The cat\nsat on\n"
    assert not CLOSED.lossless


@pytest.mark.parametrize("tokenizer", ALL, ids=names)
def test_a_lone_surrogate_is_named_with_its_index(tokenizer):
    with pytest.raises(CorpusError, match="U\\+D83D, at index 2"):
        tokenizer.encode("ab\ud83d")


@pytest.mark.parametrize("tokenizer", ALL, ids=names)
def test_an_id_out_of_range_is_refused(tokenizer):
    for token in (-1, tokenizer.vocab_size):
        with pytest.raises(UsageError, match="not an id"):
            tokenizer.decode([token])


@pytest.mark.parametrize("tokenizer", [LOSSLESS["char"], LOSSLESS["word"], CLOSED], ids=names)
def test_frequent_tokens_have_low_ids(tokenizer):
    counts = np.bincount(tokenizer.encode(TEXT), minlength=tokenizer.vocab_size)
    used = counts[: np.flatnonzero(counts)[-1] + 1]
    seen = used[used > 0]
    assert (np.diff(seen) <= 0).mean() > 0.95


@pytest.mark.parametrize("kind", ["word", "bpe"])
@settings(max_examples=20, deadline=None)
@given(text=texts)
def test_what_was_forgotten_is_worked_out_again(kind, text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabularies, "MAX_REMEMBERED", 2)
        patch.setattr(vocabularies, "MAX_CHUNK", 3)
        tokenizer = learn_tokenizer(kind, lambda: CORPUS, vocab_size=400)
        text = f"the cat {text} the  cat\t" * 4
        library = tokenizers.Tokenizer.from_str(tokenizer.to_json())
        assert tokenizer.encode(text).tolist() == library.encode(text).ids


@pytest.mark.parametrize("tokenizer", ALL)
def test_ids_one_by_one_give_the_text_of_all(tokenizer):
    random = np.random.default_rng(1)
    for _ in range(3):  # what was met before is known the next time
        ids = random.integers(tokenizer.vocab_size, size=400).tolist()
        together, alone = tokenizer.decoder(), tokenizer.decoder()
        for token in ids:
            assert alone.push_one(token) == together.push((token,))
            assert alone.peek((5,)) == together.peek((5,))
            assert alone.pending() == together.pending()
        assert alone.flush() == together.flush()
