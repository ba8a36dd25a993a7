"""Tokens joined to whole characters: a token of a few bytes may end in the middle of one."""

import codecs
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from charlm.evaluation.tokens import TokenScore

NAMED = 4  # tokens of one character that a title tells apart


@dataclass(frozen=True)
class Unit:
    """Whole characters, and the tokens that they came in: one, unless one cuts a character."""

    text: str
    tokens: tuple[TokenScore, ...]

    @property
    def bits(self) -> float:
        """Give -log2 p of all its tokens."""
        return sum(token.nats for token in self.tokens) / math.log(2)

    @property
    def title(self) -> str:
        """Say what was predicted there."""
        entropies = ", ".join(shown(t.entropy / math.log(2)) for t in self.tokens[:NAMED])
        ranks = ", ".join(f"{token.rank:,}" for token in self.tokens[:NAMED])
        if len(self.tokens) == 1:
            return f"{shown(self.bits)} bits, rank {ranks}, entropy {entropies} bits"
        more = ", \u2026" if len(self.tokens) > NAMED else ""
        return (
            f"{shown(self.bits)} bits in {len(self.tokens):,} tokens, "
            f"ranks {ranks}{more}, entropies {entropies}{more} bits"
        )


def units(scores: Iterable[TokenScore | None]) -> Iterator[Unit | None]:
    """Join the tokens that share a character; bytes that are no UTF-8 become U+FFFD.

    A token that adds nothing goes with the next one. None, between two documents, stays there.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text, tokens = "", list[TokenScore]()
    for score in chain(scores, [None]):
        if score is None:
            if tokens:
                yield Unit(text + decoder.decode(b"", final=True), tuple(tokens))
            yield None
            text, tokens = "", []
            continue
        before, text = text, text + decoder.decode(score.piece)
        begun = len(decoder.getstate()[0])
        if tokens and begun and begun == len(score.piece) and text != before:
            yield Unit(text, tuple(tokens))  # what was begun before is no character
            text, tokens = "", []
        tokens.append(score)
        if text and not begun:
            yield Unit(text, tuple(tokens))
            text, tokens = "", []


def shown(value: float) -> str:
    """Give a number in few digits."""
    if value < 100:
        return f"{value:.2f}"
    return f"{value:,.1f}" if value < 1e6 else f"{value:.3g}"
