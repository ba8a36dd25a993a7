"""The next words, or the rest of a half-typed one, with their probabilities.

The probability of a word is summed over all the ways to spell it in tokens, each with the
probability that the word ends there. The search (`charlm.generation.word_search`) is best-first.
Every figure is a lower bound, and at most `unexplored` too low: that much of what was not searched
may be a listed word's.

The half-typed word is taken back from the context, with the space before it, since its tokens may
be other ones than those of the finished word; then only spellings that agree with it count.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from charlm.predict.predictor import Prediction
from charlm.text.pretokens import TYPED_PATTERN
from charlm.text.tokenizers import Tokenizer

LONGEST = 1000  # characters of a word that is completed


@dataclass(frozen=True)
class Suggestion:
    """A word that may come next; `completion` is what remains to be typed of it."""

    word: str
    completion: str
    probability: float


@dataclass(frozen=True)
class Suggestions:
    """The most probable next words of a text.

    unexplored: how much too low any of their probabilities may be, at most
    unsearched: the probability of all that was not searched, most of it of very many other words
    """

    text: str
    suggestions: tuple[Suggestion, ...]
    unexplored: float
    unsearched: float

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        return asdict(self)


def cut_typed(tokenizer: Tokenizer, text: str) -> tuple[str, str]:
    """Cut a text where the word begins that it ends in, or where the next one would."""
    if tokenizer.closed:
        words = text.split()
        typed = words[-1] if words and not text[-1].isspace() else ""
    else:
        start = max(0, len(text) - LONGEST)
        blank = max(text.rfind(each, start) for each in " \n")  # no word goes across one
        found = TYPED_PATTERN.search(text, max(blank, start))
        typed = found.group() if found else ""
    cut = len(text) - len(typed)
    return text[:cut], typed


def closed_suggestions(
    tokenizer: Tokenizer, prediction: Prediction, text: str, typed: str, k: int
) -> Suggestions:
    """In the closed form every word is one token: one prediction answers everything."""
    logs = prediction.log_probs()[0].astype(np.float64)
    pieces = [piece.decode() for piece in tokenizer.pieces]
    hidden = (tokenizer.boundary_id, tokenizer.unknown_id)
    agreeing = [i for i, w in enumerate(pieces) if w.startswith(typed) and i not in hidden]
    total = float(np.exp(logs).sum()) if not typed else float(np.exp(logs[agreeing]).sum())
    best = sorted(agreeing, key=lambda token: -logs[token])[:k]
    suggestions = tuple(
        Suggestion(pieces[i], pieces[i][len(typed) :], float(np.exp(logs[i])) / total) for i in best
    )
    return Suggestions(text, suggestions, 0.0, 0.0)
