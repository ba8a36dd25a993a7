"""The search for words: best-first over spellings, each one way to write a word in tokens.

A spelling that is opened has its tokens at hand, the most probable first, and is a source of
spellings one token longer. The most probable of all sources' next ones are opened together.
"""

import heapq
import itertools
from dataclasses import dataclass

import numpy as np

from charlm.generation.lexicon import UNKNOWN, Lexicon
from charlm.generation.memo import Memo
from charlm.text.pretokens import APOSTROPHES, WORD_PATTERN

WIDTH = 32  # spellings opened at a time
BRANCHES = 64  # tokens followed from one spelling
MAX_OPENED = 1024
ENOUGH = 0.01  # unexplored share at which the search ends
FAINT = 1e-6  # share of a token that is not worth opening


@dataclass
class _Source:
    """A spelling that was opened: its bytes after the context, and its number in the memo.

    tokens, masses: (n,) that can follow, the most probable first; the first `taken` were opened
    begun:          what every word that it leads to begins with
    rest:           mass of the tokens that never are opened
    rest_bests:     (G,) of these, as `Lexicon.bests` has it; None where nobody will ask
    """

    spelled: bytes
    begun: str
    number: int
    tokens: np.ndarray
    masses: np.ndarray
    rest: float
    rest_bests: np.ndarray | None
    taken: int = 0
    gain: tuple[int, float] = (-1, 0.0)  # for how many taken, and what it was then


class WordSearch:
    """Best-first search over spellings that agree with what was typed."""

    def __init__(self, memo: Memo, lexicon: Lexicon, typed: str) -> None:
        self._memo = memo
        self._lexicon = lexicon
        self._typed = typed
        self._prefix = typed.encode()
        self._sources: list[_Source] = []
        self._next: list[tuple[float, int, _Source]] = []  # a heap: minus the mass of the next
        self._order = itertools.count()
        self._open_mass = 0.0
        self._agreeing = 1.0 if not self._prefix else 0.0
        self._spellings: dict[str, tuple[float, str]] = {}
        self._word: str | None = None
        self.words: dict[str, float] = {}

    def run(self, k: int, word: str | None = None, quick: bool = False) -> None:
        """Search until little is left to find, or until it is certain if `word` is among k best.

        quick: until no word that was not met can be more probable than the k best by one spelling
        """
        self._word = word
        self._open(b"", 1.0, 0)
        opened = 0
        while self._next and opened < MAX_OPENED and not self._settled(k, quick):
            least = self._least(k) if quick else 0.0
            spellings = [self._take()]
            while self._next and len(spellings) < WIDTH and -self._next[0][0] > least:
                spellings.append(self._take())
            opened += len(spellings)
            numbers = self._memo.open([(source.number, token) for source, token, _ in spellings])
            for number, (source, token, mass) in zip(numbers, spellings, strict=True):
                self._open(source.spelled + self._lexicon.pieces[token], mass, number)

    def best(self, k: int) -> list[tuple[str, str, float]]:
        """Give the best words, what remains to be typed of each, and its share, at least."""
        total = self._total()
        best = sorted(self.words.items(), key=lambda item: (-item[1], item[0]))[:k]
        typed = len(self._typed)
        return [(word, self._spellings[word][1][typed:], mass / total) for word, mass in best]

    def unexplored(self) -> float:
        """Give the share of what agrees with what was typed that was not searched."""
        total = self._total()
        return 1.0 if total <= 0.0 else min(1.0, max(0.0, self._open_mass) / total)

    def _total(self) -> float:
        """Give the mass of all that agrees, or may yet, with what was typed."""
        lengths, shorter = self._lexicon.lengths, 0.0
        for source in self._sources:
            if len(source.spelled) < len(self._prefix):
                tokens, masses = source.tokens[source.taken :], source.masses[source.taken :]
                short = len(source.spelled) + lengths[tokens] < len(self._prefix)
                shorter += float(masses[short].sum())
        return self._agreeing + shorter

    def _settled(self, k: int, quick: bool) -> bool:
        """Tell whether the search may end."""
        if not self._agreeing:
            return False
        if self._open_mass <= ENOUGH * self._agreeing:
            return True
        if quick and self._least(k) >= -self._next[0][0]:
            return True
        return self._word is not None and self._decided(self._word, k)

    def _least(self, k: int) -> float:
        """Give the mass of the last of the k best words; 0 while there are fewer."""
        best = heapq.nlargest(k, self.words.values())
        return best[-1] if len(best) == k else 0.0

    def _decided(self, word: str, k: int) -> bool:
        """Tell whether nothing still open could bring a word among the k best, or out of them.

        A word gains only below spellings that it begins with, and from each at most its `_gain`.
        """
        gains: dict[str, float] = {}
        for source in self._sources:
            gains[source.begun] = gains.get(source.begun, 0.0) + self._gain(source)

        def gain(word: str) -> float:
            return sum(gains.get(word[:length], 0.0) for length in range(len(word) + 1))

        own = self.words.get(word, 0.0)
        most_it_can_have = own + gain(word)
        others = [(mass, other) for other, mass in self.words.items() if other != word]
        if sum(mass > most_it_can_have for mass, _ in others) >= k:
            return True
        most = max(map(gain, gains))
        if most >= own:  # a word that was not met yet could have more
            return False
        return sum(mass + most >= own and mass + gain(other) >= own for mass, other in others) < k

    def _gain(self, source: _Source) -> float:
        """Bound what any one word can gain below a source: it takes one token of each length."""
        if source.gain[0] != source.taken:
            left = slice(source.taken, None)
            bests = self._lexicon.bests(source.tokens[left], source.masses[left])
            if source.rest_bests is not None:
                several = bests[0] + source.rest_bests[0]
                bests = np.maximum(bests, source.rest_bests)
                bests[0] = several
            source.gain = (source.taken, float(bests.sum()))
        return source.gain[1]

    def _take(self) -> tuple[_Source, int, float]:
        """Take the most probable spelling that is open: its source, its last token, its mass."""
        source = heapq.heappop(self._next)[2]
        token, mass = int(source.tokens[source.taken]), float(source.masses[source.taken])
        source.taken += 1
        self._open_mass -= mass
        self._offer(source)
        return source, token, mass

    def _offer(self, source: _Source) -> None:
        if source.taken < len(source.tokens):
            entry = (-float(source.masses[source.taken]), next(self._order), source)
            heapq.heappush(self._next, entry)

    def _open(self, spelled: bytes, mass: float, number: int) -> None:
        """Open a spelling of some mass: end a word there, and see which tokens go on with it."""
        masses = self._memo.shares(number) * mass
        rest = np.zeros(0, dtype=np.int64)
        if len(spelled) < len(self._prefix):
            tokens = self._towards(spelled, masses)
        else:
            tokens = self._within(spelled, masses)
            own = masses[tokens]
            strong = own > FAINT * mass
            if np.count_nonzero(strong) > BRANCHES:
                strong[:] = False
                strong[np.argpartition(-own, BRANCHES)[:BRANCHES]] = True
            tokens, rest = tokens[strong], tokens[~strong]
            tokens = self._that_spell(spelled, tokens)
        own = masses[tokens]
        order = np.argsort(-own, kind="stable")
        tokens, own = tokens[order], own[order]
        bests = None
        if self._word is not None and len(rest):
            bests = self._lexicon.bests(rest, masses[rest])
        left = float(masses[rest].sum())
        begun = spelled.decode(errors="ignore").strip().rstrip(APOSTROPHES)
        source = _Source(spelled, begun, number, tokens, own, left, bests)
        self._open_mass += left + float(own.sum())
        self._sources.append(source)
        self._offer(source)

    def _towards(self, spelled: bytes, masses: np.ndarray) -> np.ndarray:
        """Give the tokens that agree with what was typed but is not spelled yet."""
        wanted = self._prefix[len(spelled) :]
        tokens = self._lexicon.compatible(wanted)
        reach = self._lexicon.lengths[tokens] >= len(wanted)
        self._agreeing += float(masses[tokens[reach]].sum())
        return np.concatenate([tokens[~reach], self._that_spell(spelled, tokens[reach])])

    def _within(self, spelled: bytes, masses: np.ndarray) -> np.ndarray:
        """End the word, and give the tokens that go on with it."""
        lexicon, word = self._lexicon, _word(spelled)
        if word is None:  # a character is cut in two: it must be completed
            return lexicon.letters_tokens
        if word:
            self._end_word(word, spelled, float(masses[lexicon.ends_tokens].sum()))
            return lexicon.goes_on_tokens
        blank = not spelled or spelled.decode()[-1:].isspace()
        return lexicon.first_tokens if blank else lexicon.letters_or_blank_tokens

    def _that_spell(self, spelled: bytes, tokens: np.ndarray) -> np.ndarray:
        """Keep the tokens after which a spelling is still white space, then a word, or less."""
        lexicon, word = self._lexicon, _word(spelled)
        if word and not spelled.decode().endswith(tuple(APOSTROPHES)):
            known = lexicon.after_letter
            for token in tokens[known[tokens] == UNKNOWN].tolist():
                known[token] = _may_be_word(b"a" + lexicon.pieces[token])
            return np.asarray(tokens[known[tokens] == 1])
        keep = lexicon.plain[tokens] if word == "" else np.zeros(len(tokens), dtype=bool)
        for place in np.flatnonzero(~keep).tolist():
            keep[place] = _may_be_word(spelled + lexicon.pieces[int(tokens[place])])
        return np.asarray(tokens[keep])

    def _end_word(self, word: str, spelled: bytes, mass: float) -> None:
        text = spelled.decode().rstrip(APOSTROPHES)
        if not mass or len(text) < len(self._typed):
            return  # what was typed goes beyond this word, by an apostrophe
        self.words[word] = self.words.get(word, 0.0) + mass
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
