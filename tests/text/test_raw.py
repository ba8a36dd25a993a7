"""Any bytes become ids and come back: text, odd bytes, and both mixed, wherever they are cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.text import raw
from charlm.text.learning import learn_tokenizer
from charlm.text.raw import encode_bytes

TEXT = "The cat sat on the mat; the dog didn't.\nОнегин, добрый мой приятель 日本語 é\n" * 20
KINDS = {kind: learn_tokenizer(kind, lambda: [TEXT]) for kind in ("byte", "char", "word", "bpe")}
PIECES = [
    *("the cat ", " приятель", "日", "\n", "\r\n", "\ufeff", "\0", "<|endoftext|>", "<0x80>", "🎉"),
    *("\udc80", "\ud83d"),
]
odd = st.sampled_from([text.encode("utf-8", "surrogatepass") for text in PIECES])
anything = st.lists(st.one_of(odd, st.binary(max_size=6)), max_size=30).map(b"".join)


def ids_of(data, tokenizer):
    return np.concatenate(list(encode_bytes(data, tokenizer))).tolist()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(data=anything, block=st.sampled_from([1, 2, 3, 7, 1 << 14]))
def test_decoding_gives_any_bytes_back(kind, data, block):
    tokenizer = KINDS[kind]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw, "BLOCK", block)
        ids = ids_of(data, tokenizer)
    assert tokenizer.decode_bytes(ids) == data
    assert tokenizer.boundary_id not in ids
    assert ids == ids_of(data, tokenizer), "the same ids however the bytes are cut"


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(text=st.text())
def test_of_text_the_ids_are_the_tokenizers(kind, text):
    tokenizer = KINDS[kind]
    assert ids_of(text.encode(), tokenizer) == tokenizer.encode(text).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_each_byte_that_is_no_utf8_is_one_id(kind):
    data = bytes(range(0x80, 0x100))
    assert len(set(ids_of(data, KINDS[kind]))) == len(ids_of(data, KINDS[kind])) == 128
    assert ids_of(b"", KINDS[kind]) == []
