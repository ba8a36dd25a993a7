"""Tokenizers with words: open, closed, and byte pairs."""

import re
from abc import abstractmethod
from collections.abc import Iterable
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from charlm.text.alphabets import spelled_pieces
from charlm.text.pretokens import (
    BLANKS,
    LINE_ENDS,
    PRETOKEN,
    complete_chunks,
    complete_pretokens,
    complete_words,
    find_chunks,
    find_pretokens,
)
from charlm.text.symbols import (
    BOUNDARY,
    BYTE_SYMBOLS,
    BYTE_TO_CHARACTER,
    END_OF_LINE,
    UNKNOWN,
    from_byte_level,
    to_byte_level,
)
from charlm.text.tokenizers import ID_TYPE, Decoder, Ids, Kind, Tokenizer

SPACE = BLANKS + LINE_ENDS
# <eos> as a word of the text, which is no control symbol but an unknown word
_LITERAL = re.compile(f"(?<![^{SPACE}]){END_OF_LINE}(?![^{SPACE}])")
MAX_REMEMBERED = 250_000  # chunks, and as many pre-tokens, whose ids are kept at hand
MAX_CHUNK = 64  # characters of a chunk that may come again


class PretokenTokenizer(Tokenizer):
    """What word and BPE tokenizers share: what was met before is looked up, not worked out."""

    def __init__(self, library: tokenizers.Tokenizer, pieces: list[bytes]) -> None:
        super().__init__(library, BOUNDARY, pieces)
        self._pretokens = _Pretokens(self)
        self._chunks = _Chunks(self._pretokens)

    @abstractmethod
    def ids_of(self, pretoken: str) -> tuple[int, ...]:
        """Work out the ids of one pre-token."""

    def cut(self, buffer: str) -> tuple[str | list[str], str]:
        """Cut off what no later text can change: at a space if there is one, else pre-tokens."""
        part, rest = complete_chunks(buffer)
        return (part, rest) if part else complete_pretokens(buffer)

    def encode_part(self, part: str | list[str]) -> Ids:
        """Look the chunks of a text, or pre-tokens, up."""
        if isinstance(part, list):
            return np.frombuffer(self._pretokens.join(part), dtype=ID_TYPE)
        first, *others = find_chunks(part)
        ids = self._pretokens.join(find_pretokens(first))
        return np.frombuffer(ids + b"".join(map(self._chunks.__getitem__, others)), dtype=ID_TYPE)

    def encode_rest(self, text: str) -> Ids:
        """Encode the last of a text."""
        return self.encode_part(text)


class _Pretokens(dict[str, bytes]):
    """The ids of every pre-token met so far, as the bytes of an array: they are quickly joined."""

    def __init__(self, tokenizer: PretokenTokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer

    def __missing__(self, pretoken: str) -> bytes:
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        ids = np.array(self._tokenizer.ids_of(pretoken), dtype=ID_TYPE).tobytes()
        self[pretoken] = ids
        return ids

    def join(self, pretokens: Iterable[str]) -> bytes:
        """Give the ids of several."""
        return b"".join(map(self.__getitem__, pretokens))


class _Chunks(dict[str, bytes]):
    """The ids of every chunk met so far, with the space before it, unless it is long."""

    def __init__(self, pretokens: _Pretokens) -> None:
        super().__init__()
        self._pretokens = pretokens

    def __missing__(self, chunk: str) -> bytes:
        ids = self._pretokens.join(find_pretokens(" " + chunk))
        if len(chunk) <= MAX_CHUNK:
            if len(self) >= MAX_REMEMBERED:
                self.clear()
            self[chunk] = ids
        return ids


class WordTokenizer(PretokenTokenizer):
    """Words with their leading space; an unknown one is spelled in characters and bytes."""

    kind: ClassVar[Kind] = "word"

    def __init__(self, library: tokenizers.Tokenizer) -> None:
        self._vocabulary = library.get_vocab(with_added_tokens=False)
        self._first_byte = self._vocabulary[BYTE_SYMBOLS[0]]
        super().__init__(library, spelled_pieces(self._vocabulary, BOUNDARY))

    def ids_of(self, pretoken: str) -> tuple[int, ...]:
        """Give the word's id, or those of its spelling."""
        whole = self._vocabulary.get(pretoken)
        if whole is not None:
            return (whole,)
        return tuple(chain.from_iterable(map(self._spell, pretoken)))

    def _spell(self, character: str) -> tuple[int, ...]:
        token = self._vocabulary.get(character)
        if token is not None:
            return (token,)
        return tuple(self._first_byte + byte for byte in character.encode())


class BpeTokenizer(PretokenTokenizer):
    """Byte pairs merged by frequency, within pre-tokens."""

    kind: ClassVar[Kind] = "bpe"

    def __init__(self, library: tokenizers.Tokenizer) -> None:
        vocabulary = library.get_vocab(with_added_tokens=False)
        pieces = [b""] * len(vocabulary)
        for symbol, token in vocabulary.items():
            if symbol != BOUNDARY:
                pieces[token] = from_byte_level(symbol)
        super().__init__(library, pieces)

    def ids_of(self, pretoken: str) -> tuple[int, ...]:
        """Merge the bytes of one pre-token."""
        return tuple(token.id for token in self.backend.model.tokenize(to_byte_level(pretoken)))


class ClosedTokenizer(Tokenizer):
    """The form of the published word tables: white-space pieces, <unk>, one <eos> for a line end.

    A literal <unk> in the text is the unknown symbol; a literal <eos> is not the control symbol
    but an unknown word. White space is not kept, so the form is not lossless.
    """

    kind: ClassVar[Kind] = "word"
    closed: ClassVar[bool] = True

    def __init__(self, library: tokenizers.Tokenizer) -> None:
        vocabulary = library.get_vocab(with_added_tokens=False)
        pieces = [b""] * len(vocabulary)
        for symbol, token in vocabulary.items():
            pieces[token] = symbol.encode()
        pieces[vocabulary[END_OF_LINE]] = b"\n"
        super().__init__(library, END_OF_LINE, pieces)
        self.unknown_id: int = vocabulary[UNKNOWN]
        self._ids = _Words(vocabulary, self.unknown_id)

    def cut(self, buffer: str) -> tuple[str, str]:
        """Hold back the piece that the buffer ends in: it may go on."""
        return complete_words(buffer)

    def encode_part(self, part: str | list[str]) -> Ids:
        """Look the words up, and end each line."""
        assert isinstance(part, str)
        if END_OF_LINE in part:
            part = _LITERAL.sub(UNKNOWN, part)
        words = part.replace("\n", f" {END_OF_LINE} ").split()
        return np.fromiter(map(self._ids.__getitem__, words), dtype=ID_TYPE, count=len(words))

    def encode_rest(self, text: str) -> Ids:
        """Encode the last of a text; a line without its end gets none."""
        return self.encode_part(text)

    def decoder(self) -> Decoder:
        """Make a decoder for ids that come one after the other."""
        return ClosedDecoder(self)


class _Words(dict[str, int]):
    """The ids of words; of all others that of the unknown one."""

    def __init__(self, vocabulary: dict[str, int], unknown_id: int) -> None:
        super().__init__(vocabulary)
        self._unknown_id = unknown_id

    def __missing__(self, word: str) -> int:
        return self._unknown_id


class ClosedDecoder(Decoder):
    """Puts a space between words and a line feed for <eos>."""

    def __init__(self, tokenizer: ClosedTokenizer) -> None:
        super().__init__(tokenizer)
        self._at_line_start = True

    def push(self, ids: Iterable[int]) -> str:
        """Take the next ids; give their text."""
        text = []
        for token in ids:
            word = self._tokenizer.pieces[self._tokenizer._checked(token)].decode()
            ends_line = token == self._tokenizer.boundary_id
            text.append(word if ends_line or self._at_line_start else " " + word)
            self._at_line_start = ends_line
        return "".join(text)

    def push_one(self, token: int) -> str:
        """Take the next id, as `push` does: what it gives hangs on the one before."""
        return self.push((token,))

    def peek(self, ids: Iterable[int]) -> str:
        """Give the text that `push` would give, and take nothing."""
        before = self._at_line_start
        text = self.push(ids)
        self._at_line_start = before
        return text

    def pending(self, ids: Iterable[int] = ()) -> bytes:
        """Give no bytes: words are whole."""
        return b""

    def peek_one(self, token: int) -> str | None:
        """Give what `peek` gives of one id: always whole characters."""
        return self.peek((token,))

    def joints(self, ids: Iterable[int] = ()) -> tuple[str, ...]:
        """Give what may stand behind a word; a line begins with anything."""
        at_line_start = self._at_line_start
        for token in ids:
            at_line_start = token == self._tokenizer.boundary_id
        return ("",) if at_line_start else (" ", "\n")

    def flush(self) -> str:
        """End the text: nothing was held back."""
        return ""


def make_word_tokenizer(symbols: list[str]) -> WordTokenizer:
    """Make an open word tokenizer; ids follow the order of `symbols`, then bytes, boundary."""
    vocabulary = {symbol: i for i, symbol in enumerate([*symbols, *BYTE_SYMBOLS, BOUNDARY])}
    library = tokenizers.Tokenizer(
        models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, ignore_merges=True)
    )
    library.pre_tokenizer = pre_tokenizers.Split(Regex(PRETOKEN), "isolated")
    library.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return WordTokenizer(library)


def make_bpe_tokenizer(merges: list[tuple[str, str]]) -> BpeTokenizer:
    """Make a byte-pair tokenizer; ids are bytes, then merges in their order, then the boundary."""
    vocabulary = {character: byte for byte, character in enumerate(BYTE_TO_CHARACTER)}
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    vocabulary[BOUNDARY] = len(vocabulary)
    library = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    library.pre_tokenizer = bpe_pre_tokenizer()
    library.decoder = decoders.ByteLevel()
    return BpeTokenizer(library)


def bpe_pre_tokenizer() -> Any:  # noqa: ANN401
    """Cut into pre-tokens, then write their bytes in the byte-level alphabet."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PRETOKEN), "isolated"), byte_level])


def make_closed_tokenizer(words: list[str]) -> ClosedTokenizer:
    """Make a closed word tokenizer of `words`, in order of ids, with <unk> and <eos> among them."""
    vocabulary = {word: i for i, word in enumerate(words)}
    library = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    library.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(_LITERAL.pattern), UNKNOWN),
            normalizers.Replace("\n", f" {END_OF_LINE} "),
        ]
    )
    library.pre_tokenizer = pre_tokenizers.Split(Regex(f"[{SPACE}]+"), "removed")
    # WordPiece puts a space before each token but the first; no token begins with its prefix
    spaces = decoders.WordPiece(prefix="\n", cleanup=False)
    line_ends = decoders.Replace(Regex(f" ?{END_OF_LINE} ?"), "\n")
    library.decoder = decoders.Sequence([spaces, decoders.Fuse(), line_ends])
    return ClosedTokenizer(library)
