"""What a score is: nats and the units they are shared among.

Everything is total nats over total units, never a mean of means. Scores per byte, character and
word compare across tokenizers; scores per token do not.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Evaluation:
    """The score of a text; `nats` is the sum of -log p over all its tokens.

    The closed word form does not predict the text itself, so it has no bits per byte or character.
    """

    documents: int
    bytes: int
    characters: int
    words: int
    lines: int
    tokens: int
    unknown_tokens: int
    nats: float
    lossless: bool
    predictor: str = "network"
    by_predictor: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def bits_per_byte(self) -> float | None:
        """Bits to name each byte of the text's UTF-8."""
        return self._bits_per(self.bytes)

    @property
    def bits_per_character(self) -> float | None:
        """Bits to name each Unicode character."""
        return self._bits_per(self.characters)

    @property
    def token_perplexity(self) -> float | None:
        """exp(nats per token): of use only between models with the same tokenizer."""
        return perplexity(self.nats, self.tokens)

    @property
    def word_perplexity(self) -> float | None:
        """exp(nats per word), a line end counting as a word, as published tables count."""
        return perplexity(self.nats, self.words + self.lines)

    def to_json(self) -> dict[str, Any]:
        """Give counts and scores as plain data."""
        values = asdict(self)
        names = ("bits_per_byte", "bits_per_character", "token_perplexity", "word_perplexity")
        scores = {name: getattr(self, name) for name in names}
        own = {"nats": self.nats} | scores
        values |= scores
        values["by_predictor"] = self.by_predictor or {self.predictor: own}
        return values

    def _bits_per(self, units: int) -> float | None:
        return self.nats / math.log(2) / units if self.lossless and units else None


def perplexity(nats: float, units: int) -> float | None:
    """Give exp(nats / units); None where there is nothing, infinity where it is past all floats."""
    if units == 0:
        return None
    return math.exp(nats / units) if nats / units < 700 else math.inf
