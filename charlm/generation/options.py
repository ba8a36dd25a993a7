"""The options of sampling and of beam search, under the names that Hugging Face uses."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from charlm.options import check, option

MOST_BIAS = 100  # nats, as OpenAI has it


@dataclass(frozen=True)
class SamplingOptions:
    """How the next token is chosen; the defaults draw from the model's own distribution."""

    temperature: float = option(1.0, "below 1 safer, above 1 wilder; 0 takes the most probable")
    top_k: int = option(0, "draw from the k most probable tokens only; 0 from all")
    top_p: float = option(1.0, "draw from the fewest tokens that make up this probability")
    min_p: float = option(0.0, "leave out tokens below this share of the most probable one")
    typical_p: float = option(
        1.0, "draw from the tokens nearest to what is expected that make up this probability"
    )
    eta_cutoff: float = option(
        0.0, "leave out tokens below this share, or below less where the model is unsure"
    )
    repetition_penalty: float = option(
        1.0, "above 1 makes tokens among the last 256 less probable, the prompt's too"
    )
    presence_penalty: float = option(0.0, "nats taken from tokens among the last 256 written")
    frequency_penalty: float = option(0.0, "nats taken for each time a token is among them")
    no_repeat_ngram_size: int = option(
        0, "write no N tokens twice within 256, nor the prompt's again; 0 for any", metavar="N"
    )
    min_tokens: int = option(
        0, "the model may end the text after so many tokens, not before", metavar="N"
    )
    max_copy: int | None = option(
        None, "write no run of more than N characters out of the training text", metavar="N"
    )
    regex: str | None = option(
        None, "write what this regular expression matches as a whole", metavar="PATTERN"
    )
    prefix: str | None = option(None, "write a text that begins so, however it is tokenized")
    words: tuple[str, ...] | None = None
    logit_bias: tuple[tuple[int, float], ...] | None = None  # ids, and nats that are added to each

    def __post_init__(self) -> None:
        check(
            0 <= self.temperature < 1e6,
            f"--temperature must be 0 or more, and below a million, not {self.temperature}",
        )
        check(self.top_k >= 0, f"--top-k must be 0 or more, not {self.top_k}")
        check(0 < self.top_p <= 1, f"--top-p must be above 0 and at most 1, not {self.top_p}")
        check(0 <= self.min_p <= 1, f"--min-p must be between 0 and 1, not {self.min_p}")
        check(
            0 < self.typical_p <= 1,
            f"--typical-p must be above 0 and at most 1, not {self.typical_p}",
        )
        check(
            0 <= self.eta_cutoff < 1,
            f"--eta-cutoff must be from 0 to below 1, not {self.eta_cutoff}",
        )
        check(self.min_tokens >= 0, f"--min-tokens must be 0 or more, not {self.min_tokens}")
        for name in ("presence_penalty", "frequency_penalty"):
            value, flag = getattr(self, name), name.replace("_", "-")
            check(-1e6 < value < 1e6, f"--{flag} must be a number, not {value}")
        check(
            self.no_repeat_ngram_size >= 0,
            f"--no-repeat-ngram-size must be 0 or more, not {self.no_repeat_ngram_size}",
        )
        constraints = [self.regex, self.prefix, self.words]
        check(
            sum(each is not None for each in constraints) <= 1,
            "give one of --regex, --prefix and --words",
        )
        check(
            0 < self.repetition_penalty < 1e6,
            f"--repetition-penalty must be above 0, not {self.repetition_penalty}",
        )
        check(
            self.max_copy is None or self.max_copy >= 1,
            f"--max-copy must be 1 or more, not {self.max_copy}",
        )

    @property
    def looks_back(self) -> bool:
        """Tell whether what was written before has a say."""
        penalties = (self.presence_penalty, self.frequency_penalty, self.no_repeat_ngram_size)
        return self.repetition_penalty != 1.0 or any(penalties)

    @property
    def greedy(self) -> "SamplingOptions":
        """Keep what a text must be, and take the most probable token each time."""
        return SamplingOptions(
            temperature=0.0, regex=self.regex, prefix=self.prefix, words=self.words
        )

    @property
    def only(self) -> tuple[float, int] | None:
        """Give (temperature, top-k) where these alone are what the rules do, else None."""
        others = self.cuts[2:] != (1.0, 0.0, 1.0, 0.0) or self.looks_back or self.logit_bias
        return None if others else (self.temperature, self.top_k)

    @property
    def cuts(self) -> tuple[float, int, float, float, float, float]:
        """Give what rules cut off by, in their order."""
        shares = (self.top_p, self.min_p, self.typical_p, self.eta_cutoff)
        return (self.temperature, self.top_k, *shares)


def biases_of(given: object, vocab_size: int) -> tuple[tuple[int, float], ...]:
    """Make `logit_bias` of what OpenAI's clients give: {id: nats}, where an id may be a text.

    Raises UsageError for what is none, and for ids of a larger vocabulary.
    """
    check(isinstance(given, Mapping), f"logit_bias must be of ids and numbers, not {given!r:.40}")
    assert isinstance(given, Mapping)
    found: dict[int, float] = {}
    for token, nats in given.items():
        number = int(token) if isinstance(token, str) and token.isdecimal() else token
        check(
            _is_number(number, Integral) and 0 <= number < vocab_size,
            f"logit_bias must be of ids from 0 to {vocab_size - 1}, not {token!r:.40}",
        )
        real = _is_number(nats, Real) and abs(nats) <= MOST_BIAS
        check(real, f"logit_bias must add from -{MOST_BIAS} to {MOST_BIAS}, not {nats!r:.40}")
        found[int(number)] = float(nats)
    return tuple(sorted(found.items()))


def _is_number(value: Any, kind: type) -> bool:  # noqa: ANN401
    return isinstance(value, kind) and not isinstance(value, bool)


@dataclass(frozen=True)
class BeamOptions:
    """How many beams, and how length counts; options of drawing have no say in a beam search."""

    beams: int = option(
        0,
        "search with so many beams instead of drawing; 1 takes the most probable token each time, "
        "0 draws",
        metavar="N",
    )
    length_penalty: float = option(
        1.0,
        "of beams, which are compared by nats / tokens^X (default 1): above 0 favours longer "
        "texts, below 0 shorter ones",
    )

    def __post_init__(self) -> None:
        check(0 <= self.beams <= 1000, f"--beams must be between 0 and 1000, not {self.beams}")
        check(
            -100 < self.length_penalty < 100,
            f"--length-penalty must be a number of a sensible size, not {self.length_penalty}",
        )
