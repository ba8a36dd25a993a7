"""The search for words: best-first over spellings, each one way to write a word in tokens.

A spelling that is opened has its tokens at hand, the most probable first, and is a source of
spellings one token longer. The most probable of all sources' next ones are opened together.
"""

import heapq
import itertools
from collections.abc import Sequence

import numpy as np

from charlm.generation.branches import Branches, branches_of, tails_of
from charlm.generation.lexicon import Lexicon, Place, may_be_word
from charlm.generation.memo import Memo
from charlm.generation.spellings import Gains, Spelling, most_below
from charlm.text.pretokens import APOSTROPHES

WIDTH = 32  # spellings opened at a time,
NEAR = 0.3  # of a quick search only those that are so probable beside the most probable one,
SEVERAL, LESS_NEAR = 8, 0.15  # and up to some also less probable ones, since a batch costs most
QUICKLY_OPENED = 80  # spellings, at most, by a quick search; by others
MAX_OPENED = 1024  # and MORE times as many while the words listed are not known to ENOUGH
MORE = 4
ENOUGH = 0.01  # share that need not be searched


class WordSearch:
    """Best-first search over spellings that agree with what was typed.

    spelled: the tokens that a tokenizer spells `typed` with, which are opened first: few other ways
    to write it have any mass, and many that only begin like it have more
    """

    def __init__(
        self, memo: Memo, lexicon: Lexicon, typed: str, spelled: Sequence[int] = ()
    ) -> None:
        self._memo = memo
        self._lexicon = lexicon
        self._typed = typed
        self._prefix = typed.encode()
        self._sources: list[Spelling] = []
        self._next: list[tuple[float, int, Spelling]] = []  # a heap: minus the mass of the next
        self._order = itertools.count()
        self._usual, self._quick = spelled, False
        self._left: list[float] = []  # of each source, the mass of all that was not opened;
        self._short: list[float] = []  # and of this, what may not agree with what was typed
        self._agreeing = 1.0 if not self._prefix else 0.0
        self._spellings: dict[str, tuple[float, bytes]] = {}
        self._word: str | None = None
        self.words: dict[str, float] = {}

    def run(self, k: int, word: str | None = None, quick: bool = False) -> None:
        """Search until little is left to find, or until it is certain if `word` is among k best.

        quick: until no word that was not met can be more probable than the k best by one spelling,
               or QUICKLY_OPENED were opened
        """
        self._word, self._quick = word, quick
        self._open([self._open_usual()])
        opened = 0
        while self._next and self._goes_on(opened, k):
            least = self._least(k)
            if self._settled(k, least if quick else 0.0):
                return
            width = min(WIDTH, QUICKLY_OPENED - opened) if quick else WIDTH
            spellings = self._batch(least if quick else 0.0, width)
            opened += len(spellings)
            numbers = self._memo.open([(source.number, token) for source, token, _ in spellings])
            pieces = self._lexicon.pieces
            self._open(
                [
                    (source.spelled + pieces[token], mass, number)
                    for number, (source, token, mass) in zip(numbers, spellings, strict=True)
                ]
            )

    def _goes_on(self, opened: int, k: int) -> bool:
        """Tell whether to open more: longer while a word that is listed may have much more."""
        if opened < min(QUICKLY_OPENED if self._quick else MAX_OPENED, self._memo.most):
            return True
        longer = self._word is None and not self._quick
        if not longer or opened >= min(MORE * MAX_OPENED, self._memo.most):
            return False
        return self.too_low([word for word, _, _ in self.best(k)]) > ENOUGH

    def best(self, k: int) -> list[tuple[str, str, float]]:
        """Give the best words, what remains to be typed of each, and its share, at least."""
        total = self._agreeing + self._short_mass
        best = sorted(self.words.items(), key=lambda item: (-item[1], item[0]))[:k]
        typed = len(self._typed)
        texts = [self._spellings[word][1].decode() for word, _ in best]
        return [
            (word, text[typed:], mass / total)
            for (word, mass), text in zip(best, texts, strict=True)
        ]

    def unsearched(self) -> float:
        """Give the share of what agrees with what was typed that was not searched."""
        total = self._agreeing + self._short_mass
        return 1.0 if total <= 0.0 else min(1.0, self._open_mass / total)

    def too_low(self, words: Sequence[str]) -> float:
        """Bound what the share of any of some words may be beyond the one that `best` gives."""
        total, most = self._agreeing + self._short_mass, 0.0
        gains = Gains(self._sources, self._memo, self._lexicon)
        for word in words:
            gain, other = gains.of(word)
            own = self.words[word]
            share = (own + gain + other) / (self._agreeing + other)  # if nothing else agrees
            most = max(most, min(share, 1.0) - own / total)
        return most

    def _settled(self, k: int, least: float) -> bool:
        """Tell whether the search may end. least: mass below which nothing need be opened."""
        if not self._agreeing:
            return False
        if self._open_mass <= ENOUGH * self._agreeing:
            return True
        if least and least >= -self._next[0][0]:
            return True
        return self._word is not None and self._decided(self._word, k)

    def _least(self, k: int) -> float:
        """Give the mass of the last of the k best words; 0 while there are fewer."""
        if len(self.words) < k:
            return 0.0
        return sorted(self.words.values())[-k]

    def _decided(self, word: str, k: int) -> bool:
        """Tell whether nothing still open could bring a word among the k best, or out of them.

        A word gains only below spellings that it begins with, and from each at most `most_below`.
        """
        gains: dict[str, float] = {}
        for source in self._sources:
            own = most_below(source, self._memo, self._lexicon)
            gains[source.begun] = gains.get(source.begun, 0.0) + own

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

    def _batch(self, least: float, width: int) -> list[tuple[Spelling, int, float]]:
        """Take the most probable spellings that are open; of all but the first, some mass at least.

        If quick, those far from the first are left: what it leads to may show that they need not be
        opened.
        """
        spellings = [self._take()]
        most, near = spellings[0][2], LESS_NEAR if self._quick else 0.0
        while self._next and len(spellings) < width:
            if len(spellings) == SEVERAL and self._quick:
                near = NEAR
            if -self._next[0][0] <= max(least, near * most):
                break
            spellings.append(self._take())
        return spellings

    def _take(self) -> tuple[Spelling, int, float]:
        """Take the most probable spelling that is open: its source, its last token, its mass."""
        minus, _, source = heapq.heappop(self._next)
        token = source.tokens[source.taken]
        source.taken += 1
        self._weigh(source)
        self._offer(source)
        return source, token, -minus

    @property
    def _open_mass(self) -> float:
        """Give the mass of all that may be a word, and was not opened;"""
        return sum(self._left)

    @property
    def _short_mass(self) -> float:
        """Give that of it which may not agree with what was typed."""
        return sum(self._short)

    def _add(self, source: Spelling) -> None:
        """Take up a spelling whose tokens can be opened."""
        source.place = len(self._sources)
        self._sources.append(source)
        self._left.append(0.0)
        self._short.append(0.0)
        self._offer(source)
        self._weigh(source)

    def _weigh(self, source: Spelling) -> None:
        self._left[source.place] = source.open
        if source.short:
            self._short[source.place] = source.open

    def _offer(self, source: Spelling) -> None:
        """Put the next of a source's spellings among those that are open, if it has any mass."""
        if self._quick and source.far:
            while source.taken < len(source.tokens) and self._lexicon.blank[source.next]:
                source.pass_over()
        if source.taken < len(source.tokens):
            mass = source.mass * source.shares[source.taken]
            if mass > 0.0:
                heapq.heappush(self._next, (-mass, next(self._order), source))

    def _open_usual(self) -> tuple[bytes, float, int]:
        """Open what was typed by the tokens that spell it; give the last of these spellings."""
        spelled, mass, number = b"", 1.0, self._memo.root
        for token in self._usual:
            share = float(self._memo.shares(number)[token])
            if share <= 0.0 or len(spelled) + self._lexicon.lengths[token] > len(self._prefix):
                break
            self._open_towards(spelled, mass, number, token)
            [number] = self._memo.open([(number, token)])
            spelled, mass = spelled + self._lexicon.pieces[token], mass * share
        return spelled, mass, number

    def _open(self, spellings: list[tuple[bytes, float, int]]) -> None:
        """Open spellings, each of some mass: end a word there, and see which tokens go on with it.

        The last of each is its number in the memo.
        """
        memo, known = self._memo, self._memo.branches
        new = [
            (spelled, number)
            for spelled, _, number in spellings
            if number not in known and len(spelled) >= len(self._prefix)
        ]
        if new:
            shares = [memo.shares(number) for _, number in new]
            found = branches_of([spelled for spelled, _ in new], shares, self._lexicon)
            known.update(zip([number for _, number in new], found, strict=True))
        for spelled, mass, number in spellings:
            if len(spelled) < len(self._prefix):
                self._open_towards(spelled, mass, number)
            else:
                self._open_branches(spelled, mass, number, known[number])

    def _open_branches(self, spelled: bytes, mass: float, number: int, own: Branches) -> None:
        """Open a spelling that has what was typed."""
        if own.word and own.ends:
            self._end_word(own, spelled, mass * own.ends)
        source = Spelling(
            spelled, own.begun, mass, number, own.tokens, own.shares, own.tails, own.rest
        )
        source.branches = own
        self._add(source)

    def _open_towards(
        self, spelled: bytes, mass: float, number: int, opened: int | None = None
    ) -> None:
        """Open a spelling that is shorter than what was typed, by the tokens that agree with it.

        opened: the one of them that is opened otherwise
        """
        wanted, lexicon = self._prefix[len(spelled) :], self._lexicon
        tokens = lexicon.compatible(wanted)
        shares = self._memo.shares(number)[tokens]
        reach = lexicon.lengths[tokens] >= len(wanted)
        self._agreeing += float(shares[reach].sum()) * mass
        spelling = [
            may_be_word(spelled + lexicon.pieces[token]) for token in tokens[reach].tolist()
        ]
        reaching = np.flatnonzero(reach)[np.array(spelling, dtype=bool)]
        for short, own in ((True, np.flatnonzero(~reach)), (False, reaching)):
            own = own[tokens[own] != opened]
            order = own[np.argsort(-shares[own], kind="stable")]
            found = shares[order].tolist()
            self._add(
                Spelling(
                    *(spelled, "", mass, number, tokens[order].tolist(), found, tails_of(found)),
                    short=short,
                )
            )

    def _end_word(self, own: Branches, spelled: bytes, mass: float) -> None:
        """Add the mass of a spelling to the word that ends with it."""
        if own.place == Place.APOSTROPHE:
            spelled = spelled.decode().rstrip(APOSTROPHES).encode()
            if len(spelled) < len(self._prefix):
                return  # what was typed goes beyond this word, by an apostrophe
        if mass <= 0.0:
            return  # hundreds of letters were typed of it: floats end at e^-745
        word = own.word
        self.words[word] = self.words.get(word, 0.0) + mass
        if mass > self._spellings.get(word, (0.0, b""))[0]:
            self._spellings[word] = (mass, spelled)
