"""Reading a text into documents of ids, counting its units on the way."""

from collections.abc import Iterator

import numpy as np

from charlm.text.documents import Piece
from charlm.text.tokenizers import Tokenizer
from charlm.text.units import UnitCounter, Units


class DocumentReader:
    """Turns pieces of text into documents of ids, in chunks, and counts them on the way."""

    def __init__(self, tokenizer: Tokenizer, pieces: Iterator[Piece]) -> None:
        self._tokenizer = tokenizer
        self._pieces = pieces
        self._next: Piece | None = next(pieces, None)
        self.units = Units()
        self.unknown_tokens = 0

    def documents(self) -> Iterator[Iterator[np.ndarray]]:
        """Give each document as chunks of ids; each must be read before the next is asked for."""
        while self._next is not None:
            yield self._chunks()

    def _chunks(self) -> Iterator[np.ndarray]:
        encoder, counter = self._tokenizer.encoder(), UnitCounter()
        piece, first = self._next, True
        while piece is not None and (first or not piece.starts_document):
            counter.add(piece.text)
            yield self._counted(encoder.push(piece.text))
            piece, first = next(self._pieces, None), False
        self._next = piece
        yield self._counted(encoder.flush())
        self.units += counter.total()

    def _counted(self, ids: np.ndarray) -> np.ndarray:
        if self._tokenizer.unknown_id is not None:
            self.unknown_tokens += int((ids == self._tokenizer.unknown_id).sum())
        return ids
