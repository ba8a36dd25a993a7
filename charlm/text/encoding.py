"""Encoding a corpus: its pieces in their order, those of a large one by several processes."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from charlm.text.documents import Piece
from charlm.text.tasks import Encoding
from charlm.text.tokenizers import Encoder, Ids, Tokenizer
from charlm.text.workers import MAX_WORKERS, Workers

MAX_VOCABULARY = 100_000  # with more, a copy for each process would take too much memory


class Encoded(NamedTuple):
    """A piece of a part, the encoder of its document, and the ids that are certain by now."""

    part: str
    piece: Piece
    encoder: Encoder
    ids: Ids


def encode_pieces(pieces: Iterable[tuple[str, Piece]], tokenizer: Tokenizer) -> Iterator[Encoded]:
    """Encode the pieces of a corpus; each comes with the name of the part it belongs to.

    The ids held back at the end of a document are the encoder's to give.
    """
    helpers = MAX_WORKERS if tokenizer.vocab_size <= MAX_VOCABULARY else 0
    if tokenizer.kind in ("byte", "char"):  # quicker than to send them anywhere
        helpers = 0
    with Workers(Encoding(tokenizer), helpers) as workers:
        for (part, piece, encoder, ids), encoded in workers.work(_cut(pieces, tokenizer)):
            yield Encoded(part, piece, encoder, encoded if ids is None else ids)


_Tag = tuple[str, Piece, Encoder, Ids | None]


def _cut(pieces: Iterable[tuple[str, Piece]], tokenizer: Tokenizer) -> Iterator[tuple[_Tag, str]]:
    """Give the texts that are to be encoded; what is no text is encoded at once."""
    encoders: dict[str, Encoder] = {}
    for part, piece in pieces:
        if piece.starts_document or part not in encoders:
            encoders[part] = tokenizer.encoder()
        encoder = encoders[part]
        if isinstance(piece.text, bytes):
            yield (part, piece, encoder, encoder.push(piece.text)), ""
            continue
        text = encoder.cut(piece.text)
        if isinstance(text, str):
            yield (part, piece, encoder, None), text
        else:
            yield (part, piece, encoder, tokenizer.encode_part(text)), ""
