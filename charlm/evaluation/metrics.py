"""What a score is: nats and the units they are shared among.

Everything is total nats over total units, never a mean of means. Scores per byte, character and
word compare across tokenizers; scores per token do not.
"""

import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True)
class Evaluation:
    """The score of a text; `nats` is the sum of -log p over all its tokens.

    The closed word form does not predict the text itself, so it has no bits per byte or character.
    intervals: low and high, by predictor, of the nats per byte; of the closed form, per token
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
    nats_by_predictor: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, list[float]] = field(default_factory=dict)

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

    @property
    def bits_per_byte_interval(self) -> list[float] | None:
        """The 95 % interval of the bits per byte; None for short texts."""
        found = self.intervals.get(self.predictor)
        if found is None or not self.lossless:
            return None
        return [nats / math.log(2) for nats in found]

    @property
    def token_perplexity_interval(self) -> list[float] | None:
        """The same of the token perplexity, for the closed word form alone."""
        found = self.intervals.get(self.predictor)
        if found is None or self.lossless:
            return None
        return [perplexity(nats, 1) or 0.0 for nats in found]

    def seen_by(self, predictor: str) -> "Evaluation":
        """Give the same with the score of another predictor as its main one."""
        if predictor == self.predictor:
            return self
        return replace(self, predictor=predictor, nats=self.nats_by_predictor[predictor])

    @property
    def by_predictor(self) -> dict[str, "Evaluation"]:
        """Give the evaluation as each predictor has it, by name."""
        names = self.nats_by_predictor or (self.predictor,)
        return {name: self.seen_by(name) for name in names}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Evaluation":
        """Read one back from what `to_json` gave."""
        names = {each.name for each in fields(cls)} - {"nats_by_predictor", "intervals"}
        each = {name: scores["nats"] for name, scores in values["by_predictor"].items()}
        own = {name: values[name] for name in names}
        intervals = {
            name: found
            for name, scores in values["by_predictor"].items()
            if (found := _interval_in_nats(scores)) is not None
        }
        return cls(**own, nats_by_predictor=each, intervals=intervals)

    def to_json(self) -> dict[str, Any]:
        """Give counts and scores as plain data; JSON has no infinity, so that is None there."""
        values = asdict(self) | self._scores()
        del values["nats_by_predictor"], values["intervals"]
        values["by_predictor"] = {name: one._scores() for name, one in self.by_predictor.items()}
        return values

    def _scores(self) -> dict[str, Any]:
        names = [
            *("bits_per_byte", "bits_per_character", "token_perplexity", "word_perplexity"),
            *("bits_per_byte_interval", "token_perplexity_interval"),
        ]
        return {"nats": self.nats} | {name: _finite(getattr(self, name)) for name in names}

    def _bits_per(self, units: int) -> float | None:
        return self.nats / math.log(2) / units if self.lossless and units else None


def _finite(value: Any) -> Any:  # noqa: ANN401
    """Give a number, or an interval, or None where it is past all floats.

    That is usual where nothing parts words: a paragraph of Chinese may be one of 700 nats.
    """
    numbers = value if isinstance(value, list) else [value]
    return value if None not in numbers and all(map(math.isfinite, numbers)) else None


def _interval_in_nats(scores: dict[str, Any]) -> list[float] | None:
    """Take an interval out of the scores of a predictor in JSON."""
    if scores.get("bits_per_byte_interval"):
        return [bits * math.log(2) for bits in scores["bits_per_byte_interval"]]
    if scores.get("token_perplexity_interval"):
        return [math.log(each) for each in scores["token_perplexity_interval"]]
    return None


@dataclass(frozen=True)
class LineScore:
    """The score of one line, read on its own; the closed word form has no bits per byte."""

    line: str | bytes
    nats: float
    lossless: bool

    @property
    def text(self) -> str:
        """The line, with replacement characters for bytes that are no UTF-8."""
        return self.line if isinstance(self.line, str) else self.line.decode("utf-8", "replace")

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        data = self.line.encode("utf-8", "replace") if isinstance(self.line, str) else self.line
        bits = self.nats / math.log(2) / len(data) if self.lossless and data else None
        return {"text": self.text, "nats": self.nats, "bytes": len(data), "bits_per_byte": bits}


def perplexity(nats: float, units: int) -> float | None:
    """Give exp(nats / units); None where there is nothing, infinity where it is past all floats."""
    if units == 0:
        return None
    return math.exp(nats / units) if nats / units < 700 else math.inf
