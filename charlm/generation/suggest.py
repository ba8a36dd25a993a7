"""The next words, or the rest of a half-typed one, with their probabilities.

The probability of a word is summed over all the ways to spell it in tokens, each with the
probability that the word ends there. The search is best-first. What was not searched is given as
`unexplored`: every figure is a lower bound, and at most that much too low.

The half-typed word is taken back from the context, with the space before it, since its tokens may
be other ones than those of the finished word; then only spellings that agree with it count.
"""

import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from charlm.generation.lexicon import Lexicon
from charlm.predict.predictor import Prediction, Predictor, State
from charlm.text.pretokens import APOSTROPHES, TYPED_PATTERN, WORD_PATTERN
from charlm.text.tokenizers import Tokenizer, refuse_surrogates

WIDTH = 32  # nodes expanded at a time
BRANCHES = 64  # tokens followed from one node
MAX_EXPANSIONS = 1024
ENOUGH = 0.01  # unexplored share at which the search ends


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


@dataclass(frozen=True)
class _Node:
    """A spelling so far: its bytes after the context, its log p, and the state to read on from."""

    log_p: float
    spelled: bytes
    state: State
    token: int


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
    found = TYPED_PATTERN.search(text)
    typed = found.group() if found else ""
    context = text[: len(text) - len(typed)]
    search = _Search(predictor, lexicon or Lexicon(tokenizer), typed)
    search.run(_read(predictor, tokenizer, context), k)
    return search.result(text, k)


def _read(predictor: Predictor, tokenizer: Tokenizer, text: str) -> State:
    """Read a text from the start; give the state after it."""
    state, ids = predictor.start(1), tokenizer.encode(text)
    return predictor.score(ids[None, :], state)[1] if len(ids) else state


class _Search:
    """Best-first search over spellings that agree with what was typed."""

    def __init__(self, predictor: Predictor, lexicon: Lexicon, typed: str) -> None:
        self._predictor = predictor
        self._lexicon = lexicon
        self._typed = typed
        self._prefix = typed.encode()
        self._frontier: list[tuple[float, int, _Node]] = []
        self._order = itertools.count()
        self._words: dict[str, float] = {}
        self._spellings: dict[str, tuple[float, str]] = {}
        self._compatible = 1.0 if not self._prefix else 0.0
        self._dropped = 0.0

    def run(self, state: State, k: int) -> None:
        """Search until the best k words cannot change any more, or little is left to find."""
        self._expand(b"", 0.0, self._predictor.prediction(state), 0, state)
        expansions = 0
        while self._frontier and expansions < MAX_EXPANSIONS and not self._settled(k):
            nodes = [
                heapq.heappop(self._frontier)[2] for _ in range(min(WIDTH, len(self._frontier)))
            ]
            expansions += len(nodes)
            states = self._predictor.stack([node.state for node in nodes])
            tokens = np.array([node.token for node in nodes])
            prediction, states = self._predictor.step(tokens, states)
            for row, node in enumerate(nodes):
                self._expand(node.spelled, node.log_p, prediction, row, states)

    def result(self, text: str, k: int) -> Suggestions:
        """Give the best words, as shares of everything that agrees with what was typed."""
        open_mass = self._open_mass()
        uncovered = sum(
            math.exp(node.log_p)
            for _, _, node in self._frontier
            if len(node.spelled) < len(self._prefix)
        )
        total = self._compatible + uncovered
        if total <= 0.0:
            return Suggestions(text, (), 1.0)
        best = sorted(self._words.items(), key=lambda item: (-item[1], item[0]))[:k]
        suggestions = tuple(
            Suggestion(word, self._spellings[word][1][len(self._typed) :], mass / total)
            for word, mass in best
        )
        return Suggestions(text, suggestions, min(1.0, open_mass / total))

    def _open_mass(self) -> float:
        return self._dropped + sum(math.exp(node.log_p) for _, _, node in self._frontier)

    def _settled(self, k: int) -> bool:
        """Tell whether no spelling still open could change which words are the best k."""
        if not self._compatible:
            return False
        open_mass = self._open_mass()
        return open_mass <= ENOUGH * self._compatible

    def _expand(
        self, spelled: bytes, log_p: float, prediction: Prediction, row: int, states: State
    ) -> None:
        """Follow the tokens that may come after one spelling."""
        logs = prediction.log_probs()[row].astype(np.float64) + log_p
        covered = len(spelled) >= len(self._prefix)
        children = self._within(spelled, logs) if covered else self._towards(spelled, logs)
        state = self._predictor.select(states, [row])
        for token, child_log_p, child in children:
            node = _Node(child_log_p, child, state, token)
            heapq.heappush(self._frontier, (-child_log_p, next(self._order), node))

    def _towards(self, spelled: bytes, logs: np.ndarray) -> Iterator[tuple[int, float, bytes]]:
        """Follow the tokens that agree with what was typed but is not spelled yet."""
        for token in self._lexicon.compatible(self._prefix[len(spelled) :]):
            child = spelled + self._lexicon.pieces[token]
            if len(child) >= len(self._prefix):
                self._compatible += math.exp(logs[token])
                if not _may_be_word(child):
                    continue
            yield token, float(logs[token]), child

    def _within(self, spelled: bytes, logs: np.ndarray) -> Iterator[tuple[int, float, bytes]]:
        """End the word, or go on with it."""
        lexicon = self._lexicon
        word = _word(spelled)
        if word is None:  # a character is cut in two: it must be completed
            follow = lexicon.letters
        elif word:
            self._end_word(word, spelled, logs[lexicon.ends])
            follow = lexicon.goes_on
        else:
            follow = lexicon.letters | lexicon.blank
            if not spelled or spelled.decode()[-1:].isspace():
                follow = follow | lexicon.begins
        tokens = np.flatnonzero(follow)
        if len(tokens) > BRANCHES:
            order = np.argpartition(-logs[tokens], BRANCHES)
            self._dropped += float(np.exp(logs[tokens[order[BRANCHES:]]]).sum())
            tokens = tokens[order[:BRANCHES]]
        for token in tokens.tolist():
            child = spelled + lexicon.pieces[token]
            if _may_be_word(child):
                yield token, float(logs[token]), child

    def _end_word(self, word: str, spelled: bytes, logs: np.ndarray) -> None:
        mass, text = float(np.exp(logs).sum()), spelled.decode().rstrip(APOSTROPHES)
        if len(text) < len(self._typed):
            return  # what was typed goes beyond this word, by an apostrophe
        self._words[word] = self._words.get(word, 0.0) + mass
        if mass > self._spellings.get(word, (0.0, ""))[0]:
            self._spellings[word] = (mass, text)


def _word(spelled: bytes) -> str | None:
    """Give the word in a spelling, "" before it begins, None while a character is incomplete."""
    try:
        return spelled.decode().strip().rstrip(APOSTROPHES)
    except UnicodeDecodeError:
        return None


def _may_be_word(spelled: bytes) -> bool:
    """Tell whether a spelling is white space, or that and a word or the beginning of one."""
    try:
        text = spelled.decode()
    except UnicodeDecodeError as fault:
        if fault.end < len(spelled) or "unexpected end" not in fault.reason:
            return False
        text = spelled[: fault.start].decode()
    bare = text.lstrip()
    return not bare or WORD_PATTERN.fullmatch(bare.rstrip(APOSTROPHES)) is not None


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
