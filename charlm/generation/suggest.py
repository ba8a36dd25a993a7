"""The next words, or the rest of a half-typed one, with their probabilities.

The probability of a word is summed over all the ways to spell it in tokens, each with the
probability that the word ends there. The search (`charlm.generation.word_search`) is best-first.
What was not searched is given as `unexplored`: every figure is a lower bound, and at most that much
too low.

The half-typed word is taken back from the context, with the space before it, since its tokens may
be other ones than those of the finished word; then only spellings that agree with it count.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from charlm.generation.lexicon import Lexicon
from charlm.generation.word_search import WordSearch
from charlm.predict.predictor import Predictor, State
from charlm.text.pretokens import TYPED_PATTERN
from charlm.text.tokenizers import Tokenizer, refuse_surrogates


@dataclass(frozen=True)
class Suggestion:
    """A word that may come next; `completion` is what remains to be typed of it."""

    word: str
    completion: str
    probability: float


@dataclass(frozen=True)
class Suggestions:
    """The most probable next words of a text, and the probability that was not searched."""

    text: str
    suggestions: tuple[Suggestion, ...]
    unexplored: float

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        return asdict(self)


def suggest(
    predictor: Predictor,
    tokenizer: Tokenizer,
    text: str,
    k: int = 5,
    lexicon: Lexicon | None = None,
) -> Suggestions:
    """Find the k most probable next words of `text`, or completions of the word it ends in.

    Raises CorpusError where the text holds a lone surrogate.
    """
    refuse_surrogates(text)
    if tokenizer.closed:
        return _suggest_closed(predictor, tokenizer, text, k)
    search = _search(predictor, tokenizer, text, k, lexicon)
    suggestions = tuple(Suggestion(*found) for found in search.best(k))
    return Suggestions(text, suggestions, search.unexplored())


def offered(
    predictor: Predictor,
    tokenizer: Tokenizer,
    text: str,
    word: str,
    k: int,
    lexicon: Lexicon | None = None,
) -> bool:
    """Tell whether a word is among the k that `suggest` finds; the search ends when that is sure.

    So it says what a search without an end would, also where `suggest` had to stop before.
    """
    if tokenizer.closed:
        found = _suggest_closed(predictor, tokenizer, text, k).suggestions
        return word in [suggestion.word for suggestion in found]
    best = _search(predictor, tokenizer, text, k, lexicon, word).best(k)
    return word in [found for found, _, _ in best]


def _search(
    predictor: Predictor,
    tokenizer: Tokenizer,
    text: str,
    k: int,
    lexicon: Lexicon | None,
    word: str | None = None,
) -> WordSearch:
    found = TYPED_PATTERN.search(text)
    typed = found.group() if found else ""
    context = text[: len(text) - len(typed)]
    search = WordSearch(predictor, lexicon or Lexicon(tokenizer), typed)
    search.run(_read(predictor, tokenizer, context), k, word)
    return search


def _read(predictor: Predictor, tokenizer: Tokenizer, text: str) -> State:
    """Read a text from the start; give the state after it."""
    state, ids = predictor.start(1), tokenizer.encode(text)
    return predictor.score(ids[None, :], state)[1] if len(ids) else state


def _suggest_closed(predictor: Predictor, tokenizer: Tokenizer, text: str, k: int) -> Suggestions:
    """In the closed form every word is one token: one prediction answers everything."""
    words = text.split()
    typed = words[-1] if words and not text[-1].isspace() else ""
    state = _read(predictor, tokenizer, text[: len(text) - len(typed)])
    logs = predictor.prediction(state).log_probs()[0].astype(np.float64)
    pieces = [piece.decode() for piece in tokenizer.pieces]
    hidden = (tokenizer.boundary_id, tokenizer.unknown_id)
    agreeing = [i for i, w in enumerate(pieces) if w.startswith(typed) and i not in hidden]
    total = float(np.exp(logs).sum()) if not typed else float(np.exp(logs[agreeing]).sum())
    best = sorted(agreeing, key=lambda token: -logs[token])[:k]
    suggestions = tuple(
        Suggestion(pieces[i], pieces[i][len(typed) :], float(np.exp(logs[i])) / total) for i in best
    )
    return Suggestions(text, suggestions, 0.0)
