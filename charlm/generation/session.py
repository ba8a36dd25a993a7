"""Suggestions while a text is being typed: what was read and searched before is not done again.

A keystroke within a word changes nothing that was read: the half-typed word is taken back from the
context. When a word is complete its tokens are read, and no others. What was opened for a word
stays open for its next letter. S streams, N ids of each.
"""

import copy
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from charlm.generation.lexicon import Lexicon
from charlm.generation.memo import Memo
from charlm.generation.suggest import Suggestion, Suggestions, closed_suggestions, cut_typed
from charlm.generation.word_search import WordSearch
from charlm.predict.predictor import Predictor, State, lanes_of
from charlm.predict.reading import read as read_ids
from charlm.predict.reading import settled
from charlm.text.tokenizers import Tokenizer, refuse_surrogates

MARKS = 6  # states that are kept, of the text's beginning and of places further on
STRIDE = 512  # ids between two of them in a text that is read at once
UNCERTAIN = 256  # characters at the end of a text that are tokenized anew each time
NEAR = 64  # characters that a text may differ by at its end, and still be the same one


@dataclass(frozen=True)
class _Mark:
    """A state, and how many ids it has read."""

    read: int
    state: State


class Session:
    """One text as it grows and changes; give it the whole of it each time.

    quick: stop when no word that was not met yet can be more probable, by one spelling, than the k
           best, or after so many spellings as a keystroke has time for; else when little is left
           unexplored, which takes much longer

    The figures are those of `suggest`, whatever the session was asked before.
    """

    def __init__(
        self,
        predictor: Predictor,
        tokenizer: Tokenizer,
        lexicon: Lexicon | None = None,
        quick: bool = True,
    ) -> None:
        self._predictor, self._tokenizer, self._quick = predictor, tokenizer, quick
        self._lexicon = lexicon
        self._growing = _GrowingText(tokenizer)
        self._marks = [_Mark(0, predictor.start(1))]
        self._ids = np.zeros(0, dtype=np.int64)
        self._memo: Memo | None = None
        self.context = ""

    def suggest(self, text: str, k: int = 5) -> Suggestions:
        """Find the k most probable next words of `text`, or completions of the word it ends in.

        Raises CorpusError where the text holds a lone surrogate.
        """
        refuse_surrogates(text)
        if self._tokenizer.closed:
            context, typed = cut_typed(self._tokenizer, text)
            prediction = self._predictor.prediction(self.read(context))
            return closed_suggestions(self._tokenizer, prediction, text, typed, k)
        search = self._search(text)
        search.run(k, quick=self._quick)
        best, unsearched = search.best(k), search.unsearched()
        too_low = search.too_low([word for word, _, _ in best]) if best else unsearched
        return Suggestions(text, tuple(Suggestion(*found) for found in best), too_low, unsearched)

    def offers(self, text: str, word: str, k: int) -> bool:
        """Tell whether a word is among the k best; the search ends when that is sure.

        So it says what a search without an end would, also where `suggest` stops before.
        """
        if self._tokenizer.closed:
            return word in [found.word for found in self.suggest(text, k).suggestions]
        search = self._search(text)
        search.run(k, word)
        return word in [found for found, _, _ in search.best(k)]

    def read(self, text: str) -> State:
        """Give the state that has read a text; only what is new of it is read now."""
        if text == self.context and self._marks[-1].read == len(self._ids):
            return self._marks[-1].state
        ids = self._growing.ids(text)
        before, memo = self._ids, self._memo
        same = _common(ids, before)
        self._marks = [mark for mark in self._marks if mark.read <= same]
        white = text.startswith(self.context) and text[len(self.context) :].isspace()
        self._ids, self.context, self._memo = ids[:same], "", None  # should reading fail
        read, state = self._marks[-1].read, self._marks[-1].state
        # a word that was looked for; who reads one stream alone, learning, has to read it
        if memo and lanes_of(self._predictor) > 1 and same == len(before) < len(ids):
            opened, state = memo.state_after(ids[same:].tolist())
            read += opened
            if opened and read == len(ids):
                state = settled(self._predictor, state)
                self._mark(_Mark(read, state))
        while read < len(ids):
            part = ids[read : read + STRIDE]
            state = read_ids(self._predictor, part[None], state)
            read += len(part)
            self._mark(_Mark(read, state))
        self._ids, self.context = ids, text
        # what was opened behind white space for the next word is what is looked for now
        if white and memo and same == len(before) and memo.follow(ids[same:].tolist()):
            self._memo = memo
        return state

    def _search(self, text: str) -> WordSearch:
        context, typed = cut_typed(self._tokenizer, text)
        state = self.read(context)
        if self._memo is None or self._memo.full:
            self._memo = Memo(self._predictor, state)
        if self._lexicon is None:
            self._lexicon = Lexicon(self._tokenizer)
        spelled = self._tokenizer.encode(typed).tolist()
        return WordSearch(self._memo, self._lexicon, typed, spelled)

    def _mark(self, mark: _Mark) -> None:
        """Keep a state, and not too many: those left lie closer the nearer the end."""
        marks = [*self._marks, mark]
        if len(marks) > MARKS:

            def worth(place: int) -> float:
                gap = marks[place + 1].read - marks[place - 1].read
                return gap / (mark.read - marks[place].read + 1)

            del marks[min(range(1, len(marks) - 1), key=worth)]
        self._marks = marks


class Sessions:
    """Sessions of several texts, for who serves many: each text goes on in its own.

    make: makes one; most: that are kept, of which the one that was not asked for longest leaves
    """

    def __init__(self, make: Callable[[], Session], most: int = 16) -> None:
        self._make = make
        self._kept: deque[Session] = deque(maxlen=most)

    def __len__(self) -> int:
        """Count the sessions that are kept."""
        return len(self._kept)

    def suggest(self, text: str, k: int = 5) -> Suggestions:
        """Suggest by the session whose text this one goes on from, or differs from at its end."""
        near = [each for each in self._kept if each.context and _goes_on(text, each.context)]
        near = near or [each for each in self._kept if not each.context]  # in a first word
        if near:
            self._kept.remove(near[-1])
        self._kept.append(near[-1] if near else self._make())
        return self._kept[-1].suggest(text, k)


class _GrowingText:
    """The ids of a text that mostly grows: what is certain of them is not worked out again."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._encoder = tokenizer, tokenizer.encoder()
        self._certain, self._fed = np.zeros(0, dtype=np.int64), ""

    def ids(self, text: str) -> np.ndarray:
        """Give the ids of a text, (N,) int64."""
        if not text.startswith(self._fed):
            self._encoder, self._certain = self._tokenizer.encoder(), self._certain[:0]
            self._fed = ""
        if len(text) - len(self._fed) > 2 * UNCERTAIN:
            piece = text[len(self._fed) : len(text) - UNCERTAIN]
            self._certain = np.concatenate([self._certain, self._encoder.push(piece)])
            self._fed += piece
        rest = copy.copy(self._encoder)
        last = rest.push(text[len(self._fed) :])
        return np.concatenate([self._certain, last, rest.flush()])


def suggest(
    predictor: Predictor,
    tokenizer: Tokenizer,
    text: str,
    k: int = 5,
    lexicon: Lexicon | None = None,
) -> Suggestions:
    """Find the k most probable next words of `text`, or completions of the word it ends in.

    Searches until at most a hundredth is unexplored, or very many spellings were opened. Raises
    CorpusError where the text holds a lone surrogate.
    """
    return Session(predictor, tokenizer, lexicon, quick=False).suggest(text, k)


def _common(one: np.ndarray, other: np.ndarray) -> int:
    """Count the ids that two texts begin with alike."""
    shorter = min(len(one), len(other))
    differing = np.flatnonzero(one[:shorter] != other[:shorter])
    return int(differing[0]) if len(differing) else shorter


def _goes_on(text: str, context: str) -> bool:
    """Tell whether a text begins with another one, but for what may be at that one's end."""
    if text.startswith(context):
        return True
    lengths = range(len(context) + 1)
    alike = bisect_left(lengths, True, key=lambda n: not text.startswith(context[:n])) - 1
    return alike >= max(1, len(context) - NEAR)
