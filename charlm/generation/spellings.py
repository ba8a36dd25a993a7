"""What the search for words has opened: spellings, and how much each of them still may lead to."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from charlm.generation.branches import Branches
from charlm.generation.lexicon import Lexicon
from charlm.generation.memo import Memo
from charlm.text.pretokens import APOSTROPHES

APOSTROPHES_AFTER = [each.encode() for each in APOSTROPHES]  # a word that ends in one ends before
FARTHEST = 12  # bytes of white space behind which a search that is quick looks for no more of it


@dataclass(slots=True, eq=False)
class Spelling:
    """A spelling that was opened: its bytes after the context, its mass, its number in the memo.

    tokens, shares: that can follow, the most probable first; the first `taken` were opened, but for
                    those passed over
    tails:    sums of the shares from each on
    rest:     share of what may follow too, and never is taken
    begun:    what every word that it leads to begins with
    short:    whether what was typed is not spelled with any of the tokens
    branches: of which the tokens are; None where what was typed is not spelled
    place:    among all that were opened
    """

    spelled: bytes
    begun: str
    mass: float
    number: int
    tokens: list[int]
    shares: list[float]
    tails: list[float]
    rest: float = 0.0
    short: bool = False
    branches: Branches | None = None
    place: int = 0
    taken: int = 0
    passed: set[int] = field(default_factory=set)
    gain: tuple[int, float] = (-1, 0.0)  # for how many taken, and what it was then
    rest_bests: np.ndarray | None = None  # of tokens that never are taken, as `Lexicon.bests`

    @property
    def open(self) -> float:
        """Give the mass of all that was not opened: a sum anew, of which no rounding is left."""
        return self.mass * (self.rest + self.tails[self.taken])

    @property
    def next(self) -> int:
        """Give the token that is to be opened next."""
        return self.tokens[self.taken]

    @property
    def far(self) -> bool:
        """Tell whether it is much white space, behind which there hardly is a word to offer."""
        return len(self.spelled) >= FARTHEST and self.spelled.isspace()

    def pass_over(self) -> None:
        """Leave the next token unopened, for good."""
        self.passed.add(self.next)
        self.rest += self.shares[self.taken]
        self.taken += 1


class Gains:
    """Bounds what words may have beyond what was found, by what was not opened."""

    def __init__(self, opened: Iterable[Spelling], memo: Memo, lexicon: Lexicon) -> None:
        self._memo, self._lexicon = memo, lexicon
        self._opened: dict[bytes, list[Spelling]] = {}
        for spelling in opened:
            self._opened.setdefault(spelling.spelled.lstrip(), []).append(spelling)

    def of(self, word: str) -> tuple[float, float]:
        """Bound the mass a word may gain: below spellings that have what was typed, and others.

        It gains by the tokens that spell it on, or lead to it through white space.
        """
        wanted, gains = word.encode(), [0.0, 0.0]
        ways = [wanted[:length] for length in range(len(wanted) + 1)]
        for bare in ways + [wanted + each for each in APOSTROPHES_AFTER]:
            towards = self._lexicon.towards(wanted[len(bare) :], not bare)
            for spelling in self._opened.get(bare, ()):
                gains[spelling.short] += spelling.mass * self._share(spelling, towards)
        return gains[False], gains[True]

    def _share(self, spelling: Spelling, towards: Iterable[int]) -> float:
        """Give the share of those of some tokens that were not opened after a spelling."""
        opened, shares = spelling.tokens[: spelling.taken], self._memo.shares(spelling.number)
        left = [t for t in towards if t not in opened or t in spelling.passed]
        if spelling.branches is None:  # it has no other tokens: they belong to another one
            left = [t for t in left if t in spelling.tokens]
        return float(sum(shares[t] for t in left))


def most_below(spelling: Spelling, memo: Memo, lexicon: Lexicon) -> float:
    """Bound what any one word can gain below a spelling: it takes one token of each length."""
    if spelling.gain[0] != spelling.taken:
        tokens = np.array(spelling.tokens[spelling.taken :], dtype=np.int64)
        shares = np.array(spelling.shares[spelling.taken :], dtype=np.float64)
        bests = lexicon.bests(tokens, shares)
        if spelling.branches is not None:
            rest = _rest_bests(spelling, spelling.branches, memo, lexicon)
            several = bests[0] + rest[0]
            bests = np.maximum(bests, rest)
            bests[0] = several
        spelling.gain = (spelling.taken, float(bests.sum()) * spelling.mass)
    return spelling.gain[1]


def _rest_bests(spelling: Spelling, branches: Branches, memo: Memo, lexicon: Lexicon) -> np.ndarray:
    """Give the same of the tokens that never are taken, (G,)."""
    if spelling.rest_bests is None:
        shares = memo.shares(spelling.number).copy()
        shares[spelling.tokens] = 0.0
        rest = lexicon.following(branches.place)
        spelling.rest_bests = lexicon.bests(rest, shares[rest])
    return spelling.rest_bests
