"""Any bytes at all as ids: what is UTF-8 by the tokenizer, every other byte as one id."""

import codecs
import re
from collections.abc import Iterator

import numpy as np

from charlm.text.tokenizers import ID_TYPE, Ids, Tokenizer

BLOCK = 1 << 14  # bytes taken at a time
FIRST_ESCAPE = 0xDC00  # Python's "surrogateescape" writes a byte b that is no UTF-8 as this + b
_ESCAPED = re.compile("([\udc80-\udcff]+)")


def encode_bytes(data: bytes, tokenizer: Tokenizer) -> Iterator[Ids]:
    """Give the ids of any bytes, in pieces; `Tokenizer.decode_bytes` gives the bytes back.

    Of UTF-8 they are the ids of the text, byte-order marks and line ends included. Not for the
    closed form.
    """
    assert tokenizer.lossless, "the closed form knows words, not bytes"
    single = _ids_of_odd_bytes(tokenizer)
    utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    encoder = tokenizer.encoder()
    for start in range(0, len(data), BLOCK):
        text = utf8.decode(data[start : start + BLOCK], final=start + BLOCK >= len(data))
        for place, run in enumerate(_ESCAPED.split(text)):
            if place % 2 == 0:
                yield encoder.push(run)
            else:
                yield encoder.flush()
                encoder = tokenizer.encoder()
                yield single[np.array([ord(escape) - FIRST_ESCAPE for escape in run])]
    yield encoder.flush()


def _ids_of_odd_bytes(tokenizer: Tokenizer) -> Ids:
    """Give the id of every byte that can be no character of its own, by the byte, (256,)."""
    ids = np.full(256, -1, dtype=ID_TYPE)
    for token, piece in enumerate(tokenizer.pieces):
        if len(piece) == 1 and piece[0] >= 0x80:
            ids[piece[0]] = token
    assert (ids[0x80:] >= 0).all(), "a lossless tokenizer has an id for every byte"
    return ids
