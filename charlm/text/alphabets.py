"""Tokenizers without words: one token for each byte, or for each character."""

from typing import ClassVar

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from charlm.text.symbols import BOUNDARY, BYTE_SYMBOLS, BYTE_TO_CHARACTER
from charlm.text.tokenizers import ID_TYPE, Encoder, Ids, Kind, Tokenizer

CODE_POINTS = 0x110000


class ByteTokenizer(Tokenizer):
    """Every byte is its own id; 256 is the boundary. Text and raw bytes are both taken."""

    kind: ClassVar[Kind] = "byte"

    def __init__(self, library: tokenizers.Tokenizer) -> None:
        super().__init__(library, BOUNDARY, [bytes([byte]) for byte in range(256)] + [b""])

    def encode(self, text: str | bytes) -> Ids:
        """Give the bytes as ids."""
        data = text if isinstance(text, bytes) else self.text_of(text).encode()
        return np.frombuffer(data, dtype=np.uint8).astype(ID_TYPE)

    def encoder(self) -> "ByteEncoder":
        """Make an encoder for a text that comes in pieces."""
        return ByteEncoder(self)

    def cut(self, buffer: str) -> tuple[str, str]:
        """Nothing needs to wait."""
        return buffer, ""

    def encode_part(self, part: str | list[str]) -> Ids:
        """Encode any part of a text."""
        assert isinstance(part, str)
        return self.encode(part)

    def encode_rest(self, text: str) -> Ids:
        """Encode the last of a text."""
        return self.encode(text)


class ByteEncoder(Encoder):
    """Bytes need no context, and may come raw."""

    def push(self, piece: str | bytes) -> Ids:
        """Give the piece's bytes as ids."""
        return self._tokenizer.encode(piece)

    def flush(self) -> Ids:
        """Give nothing: nothing was held back."""
        return np.zeros(0, dtype=ID_TYPE)


class CharTokenizer(Tokenizer):
    """One id for each character of a table; others are spelled in the bytes of their UTF-8."""

    kind: ClassVar[Kind] = "char"

    def __init__(self, library: tokenizers.Tokenizer) -> None:
        vocabulary = library.get_vocab(with_added_tokens=False)
        super().__init__(library, BOUNDARY, spelled_pieces(vocabulary, BOUNDARY))
        self._first_byte = vocabulary[BYTE_SYMBOLS[0]]
        self._table = np.full(CODE_POINTS, -1, dtype=ID_TYPE)
        for symbol, token in vocabulary.items():
            if len(symbol) == 1:
                self._table[ord(symbol)] = token

    def cut(self, buffer: str) -> tuple[str, str]:
        """Nothing needs to wait."""
        return buffer, ""

    def encode_part(self, part: str | list[str]) -> Ids:
        """Look every character up; spell out the unknown ones."""
        assert isinstance(part, str)
        ids: Ids = self._table[code_points(part)]
        unknown = np.flatnonzero(ids < 0)
        if len(unknown) == 0:
            return ids
        spelled = [part[i].encode() for i in unknown.tolist()]
        lengths = np.ones(len(ids), dtype=np.int64)
        lengths[unknown] = [len(spelling) for spelling in spelled]
        result = np.repeat(ids, lengths)
        spelling = np.frombuffer(b"".join(spelled), dtype=np.uint8).astype(ID_TYPE)
        result[result < 0] = spelling + self._first_byte
        return result

    def encode_rest(self, text: str) -> Ids:
        """Encode the last of a text."""
        return self.encode_part(text)


def code_points(text: str) -> np.ndarray:
    """Give the code points of a text, of the smallest type that holds them."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    units = np.frombuffer(text.encode("utf-16-le"), dtype="<u2")
    if len(units) == len(text):
        return units
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def spelled_pieces(vocabulary: dict[str, int], boundary: str) -> list[bytes]:
    """Give the bytes of every symbol of a vocabulary in which single bytes are <0x00> to <0xFF>."""
    pieces = [b""] * len(vocabulary)
    for symbol, token in vocabulary.items():
        pieces[token] = symbol.encode()
    for byte, symbol in enumerate(BYTE_SYMBOLS):
        pieces[vocabulary[symbol]] = bytes([byte])
    pieces[vocabulary[boundary]] = b""
    return pieces


def make_byte_tokenizer() -> ByteTokenizer:
    """Make the byte tokenizer; there is only one."""
    vocabulary = {character: byte for byte, character in enumerate(BYTE_TO_CHARACTER)}
    library = tokenizers.Tokenizer(models.BPE(vocab=vocabulary | {BOUNDARY: 256}, merges=[]))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    library.decoder = decoders.ByteLevel()
    return ByteTokenizer(library)


def make_char_tokenizer(characters: list[str]) -> CharTokenizer:
    """Make a character tokenizer; ids follow the order of `characters`, then bytes, boundary."""
    vocabulary = {symbol: i for i, symbol in enumerate([*characters, *BYTE_SYMBOLS, BOUNDARY])}
    model = models.BPE(vocab=vocabulary, merges=[], byte_fallback=True)
    library = tokenizers.Tokenizer(model)
    library.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return CharTokenizer(library)
