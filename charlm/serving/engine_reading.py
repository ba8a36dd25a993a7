"""A prompt that is read in pieces, so that a long one holds up nobody for long.

Legend: N ids of the prompt, n of a piece, V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from charlm.predict.positions import positions
from charlm.predict.predictor import Predictor, State
from charlm.predict.reading import read
from charlm.serving.engine_tokens import TokenTexts
from charlm.serving.orders import Order, Token
from charlm.text.tokenizers import Tokenizer

PIECE = 128  # ids read at a time, fewer where
NUMBERS = 1 << 21  # their log p of all V ids would be more numbers than that


Top: TypeAlias = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Echo:
    """What a piece of a prompt is told as, if it is to be told; `read` is how many ids it has."""

    read: int
    text: str = ""
    tokens: tuple[Token, ...] = ()


class Reading:
    """The prompt of an order while it is read.

    start:      the state of one stream that has read nothing
    state:      of one stream that has read what was read so far
    characters: of the prompt decoded so far
    """

    def __init__(
        self,
        predictor: Predictor,
        tokenizer: Tokenizer,
        texts: TokenTexts,
        order: Order,
        start: State,
    ) -> None:
        self._predictor, self._texts, self._order = predictor, texts, order
        self._decoder = tokenizer.decoder()
        self._size = max(1, min(PIECE, NUMBERS // predictor.vocab_size))
        self._at = 0
        self.characters = 0
        self.state = start

    @property
    def done(self) -> bool:
        """Tell whether all is read."""
        return self._at >= len(self._order.prompt)

    def read(self) -> Echo:
        """Read a piece.

        A character that the prompt leaves incomplete is not told, unless nothing is to be written
        that could complete it.
        """
        ids = np.asarray(self._order.prompt[self._at : self._at + self._size], dtype=np.int64)
        begin, self._at = self._at, self._at + len(ids)
        if not self._order.echo:
            if len(ids):
                self.state = read(self._predictor, ids[None], self.state)
            return Echo(len(ids))
        tokens, text = list[Token](), ""
        for number, (token, log, top) in enumerate(self._looked_at(ids), start=begin):
            start, text = len(text), text + self._decoder.push((token,))
            if log is not None:
                at = self.characters + self._texts.offset(token, start, len(text))
                known = number > 0  # of the first nothing is told, as clients expect it
                own, others = (log, top) if known else (None, ())
                tokens.append(Token(self._texts.of(token), own, others, at))
        if self.done and not self._order.max_tokens:
            text += self._decoder.flush()
        self.characters += len(text)
        return Echo(len(ids), text, tuple(tokens))

    def _looked_at(self, ids: np.ndarray) -> Iterator[tuple[int, float | None, Top]]:
        """Read ids (n,); give each with its log p and the most probable in its place, if wanted."""
        if not self._order.logprobs or not len(ids):
            nats = self._score(ids)
            for token, cost in zip(ids.tolist(), nats.tolist(), strict=True):
                yield token, None if self._order.logprobs is None else -cost, ()
            return
        prediction, self.state = positions(self._predictor, ids[None], self.state)
        logs, (best, values) = prediction.of(ids), prediction.top(self._order.logprobs)
        for row, token in enumerate(ids.tolist()):
            yield token, float(logs[row]), self._texts.top(best[row], values[row])

    def _score(self, ids: np.ndarray) -> np.ndarray:
        """Read ids (n,); give their nats."""
        if not len(ids):
            return np.zeros(0)
        nats, self.state = self._predictor.score(ids[None], self.state)
        own: np.ndarray = nats[0]
        return own
