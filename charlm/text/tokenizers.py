"""Tokenizers: text to ids and back, each stored as one tokenizer.json of Hugging Face's form.

    byte    every byte is a token; reads any file raw
    char    Unicode characters; those never seen are spelled in bytes
    word    words with their leading space; unknown ones are spelled in characters and bytes
            or, closed, the published form: white-space pieces, <unk>, one <eos> a line
    bpe     byte pairs merged by frequency (Sennrich et al. 2016), over bytes

All but the closed form are lossless: decode(encode(text)) == text for any text. The library
`tokenizers` loads the file unaided and gives the same ids; here each kind has a faster path.
"""

import codecs
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Literal

import numpy as np
import tokenizers

from charlm.errors import CorpusError, UsageError

Kind = Literal["byte", "char", "word", "bpe"]
Ids = np.ndarray
ID_TYPE = np.int32


class Tokenizer(ABC):
    """Turns text into ids and ids into text.

    vocab_size:  number of ids, the boundary among them
    boundary_id: starts every stream, so that its first token is predicted too
    unknown_id:  what unknown words become in the closed form; None elsewhere
    pieces:      the bytes that each id adds to the text; b"" for the boundary
    """

    kind: ClassVar[Kind]
    closed: ClassVar[bool] = False
    unknown_id: int | None = None

    def __init__(self, library: tokenizers.Tokenizer, boundary: str, pieces: list[bytes]) -> None:
        self.backend = library
        self.vocab_size = len(pieces)
        self.boundary_id: int = library.get_vocab(with_added_tokens=False)[boundary]
        self.pieces = pieces
        self.texts: dict[int, str] = {}  # of ids that decoders met, where they are whole characters
        self._json = library.to_str(pretty=True)

    @property
    def lossless(self) -> bool:
        """Tell whether decode(encode(text)) == text for every text."""
        return not self.closed

    def encode(self, text: str | bytes) -> Ids:
        """Give the ids of a whole text, (N,) int32, without a boundary.

        Raises CorpusError where the text holds a lone surrogate, which no encoding has.
        """
        encoder = self.encoder()
        return np.concatenate([encoder.push(text), encoder.flush()])

    def encoder(self) -> "Encoder":
        """Make an encoder for a text that comes in pieces."""
        return Encoder(self)

    def decode(self, ids: Iterable[int]) -> str:
        """Give the text of ids; bytes that are no UTF-8 become U+FFFD."""
        decoder = self.decoder()
        return decoder.push(ids) + decoder.flush()

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Give the bytes of ids, exactly; not for the closed form."""
        assert not self.closed, "the closed form knows words, not bytes"
        return b"".join([self.pieces[self._checked(i)] for i in ids])

    def decoder(self) -> "Decoder":
        """Make a decoder for ids that come one after the other."""
        return Decoder(self)

    def to_json(self) -> str:
        """Give tokenizer.json."""
        return self._json

    def keep_json(self, text: str) -> None:
        """Keep the file's own text, which another version of the library may have written."""
        self._json = text

    def sha256(self) -> str:
        """Give the SHA-256 of tokenizer.json: what names this tokenizer."""
        return hashlib.sha256(self._json.encode()).hexdigest()

    @abstractmethod
    def cut(self, buffer: str) -> tuple[str | list[str], str]:
        """Cut off what is certain of a text that goes on, in a form `encode_part` takes."""

    @abstractmethod
    def encode_part(self, part: str | list[str]) -> Ids:
        """Encode what `cut` cut off."""

    @abstractmethod
    def encode_rest(self, text: str) -> Ids:
        """Encode the last of a text."""

    def text_of(self, piece: str | bytes) -> str:
        """Take a piece of text as this tokenizer needs it."""
        if isinstance(piece, bytes):
            raise UsageError(f"a {self.kind} tokenizer reads text, not bytes")
        if not isinstance(piece, str) or not piece.isascii():
            refuse_surrogates(piece)
        return piece

    def _checked(self, token: int) -> int:
        if not 0 <= token < self.vocab_size:
            raise UsageError(f"{token} is not an id of this tokenizer (0 to {self.vocab_size - 1})")
        return token


class Encoder:
    """Encodes a text in pieces: however it is cut, the ids are those of the whole."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._rest = ""

    def push(self, piece: str | bytes) -> Ids:
        """Take the next piece; give the ids that are certain by now."""
        return self._tokenizer.encode_part(self.cut(piece))

    def cut(self, piece: str | bytes) -> str | list[str]:
        """Take the next piece; give what is certain by now, to be encoded by anyone."""
        tokenizer = self._tokenizer
        part, self._rest = tokenizer.cut(self._rest + tokenizer.text_of(piece))
        return part

    def flush(self) -> Ids:
        """End the text; give the ids that were held back."""
        rest, self._rest = self._rest, ""
        return self._tokenizer.encode_rest(rest)


class Decoder:
    """Decodes ids one after the other, and never gives half a character."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._within = False  # a character

    def push(self, ids: Iterable[int]) -> str:
        """Take the next ids; give the text that is certain by now."""
        text = self._utf8.decode(self._tokenizer.decode_bytes(ids))
        self._within = bool(self._utf8.getstate()[0])
        return text

    def push_one(self, token: int) -> str:
        """Take the next id, as `push` does, and sooner."""
        text = None if self._within else self._tokenizer.texts.get(token)
        if text is not None:
            return text
        alone = not self._within
        text = self.push((token,))
        if alone and not self._within:
            self._tokenizer.texts[token] = text
        return text

    def peek(self, ids: Iterable[int]) -> str:
        """Give the text that `push` would give, and take nothing."""
        state, within = self._utf8.getstate(), self._within
        text = self.push(ids)
        self._utf8.setstate(state)
        self._within = within
        return text

    def peek_one(self, token: int) -> str | None:
        """Give what `peek` gives of one id, sooner; None where that is no whole characters."""
        if self._within:
            return None
        text = self._tokenizer.texts.get(token)
        if text is None and not self.pending((token,)):
            text = self._tokenizer.texts[token] = self.peek((token,))
        return text

    def pending(self, ids: Iterable[int] = ()) -> bytes:
        """Give the bytes of a character that would be incomplete after ids; takes nothing."""
        state, within = self._utf8.getstate(), self._within
        self.push(ids)
        bytes_left: bytes = self._utf8.getstate()[0]
        self._utf8.setstate(state)
        self._within = within
        return bytes_left

    def joints(self, ids: Iterable[int] = ()) -> tuple[str, ...]:
        """Give texts with one of which begins whatever would be added after ids; takes nothing."""
        return ("",)

    def flush(self) -> str:
        """End the text; a character left incomplete becomes U+FFFD."""
        self._within = False
        return self._utf8.decode(b"", final=True)


def refuse_surrogates(text: str) -> None:
    """Raise CorpusError if a text holds half of a surrogate pair, naming where.

    What is no text at all gets a UsageError.
    """
    if not isinstance(text, str):
        raise UsageError(f"a text is wanted here, not {text!r:.60} ({type(text).__name__})")
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        raise CorpusError(
            f"the text holds a lone surrogate, U+{ord(text[fault.start]):04X}, "
            f"at index {fault.start}",
            "it is not Unicode text; read it with errors='replace'",
        ) from None
