"""What each token does to a word that is being spelled: begin it, go on with it, or end it."""

import contextlib
import re
from bisect import bisect_left, bisect_right
from enum import IntEnum

import numpy as np

from charlm.generation.following import Follow, follow
from charlm.predict.kept import kept
from charlm.text.pretokens import APOSTROPHES, WORD, WORD_PATTERN
from charlm.text.tokenizers import Tokenizer

MOST_KNOWN = 1 << 14  # ways on that are kept
_PLAIN = re.compile(f" ?{WORD}+")


class Role(IntEnum):
    """What a token begins with, as far as words go."""

    LETTERS = 0  # word characters only, or part of one: begins a word or goes on with it
    SPACED = 1  # one space, then word characters: begins a word, ends one that is there
    BLANK = 2  # white space only
    OTHER = 3  # punctuation, or the boundary: no word
    APOSTROPHE = 4  # goes on with a word if letters follow


class Place(IntEnum):
    """Where a spelling stands: what can come next, and whether a word may end there."""

    BLANK = 0  # nothing, or white space: a word may begin
    LETTER = 1  # in a word, after a letter
    APOSTROPHE = 2  # in a word, after an apostrophe: what comes next hangs on what it is
    CUT = 3  # in a character: it must be completed
    NOWHERE = 4  # in something that is no word yet, as an apostrophe alone


class Lexicon:
    """The roles of all tokens of a lossless tokenizer, as (V,) masks.

    lengths: (V,) bytes of each token
    ending:  1 for those that end a word, else 0, float64
    follow:  finds the tokens to follow from spellings
    plain:   those of nothing but word characters, with a space before them or not, or white space
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.pieces = tokenizer.pieces
        texts = [piece.decode("utf-8", "replace") for piece in self.pieces]
        roles = np.array([role_of(piece) for piece in self.pieces])
        self.lengths = np.array([len(piece) for piece in self.pieces])
        self.begins = roles == Role.SPACED  # with its own space before it
        self.letters = roles == Role.LETTERS
        self.blank = roles == Role.BLANK
        self.goes_on = self.letters | (roles == Role.APOSTROPHE)
        self.ends = self.begins | self.blank | (roles == Role.OTHER)
        self.plain = self.blank | [_PLAIN.fullmatch(text) is not None for text in texts]
        self.ending = self.ends.astype(np.float64)
        self.follow: Follow = follow
        self._sorted = sorted(range(len(self.pieces)), key=self.pieces.__getitem__)
        self._in_order = [self.pieces[token] for token in self._sorted]
        self._of_piece: dict[bytes, list[int]] = {}
        for token, piece in enumerate(self.pieces):
            self._of_piece.setdefault(piece, []).append(token)
        self._blanks = frozenset(np.flatnonzero(self.blank).tolist())
        self._towards: dict[tuple[bytes, bool], tuple[int, ...]] = {}
        lone = np.array([len(self._of_piece[piece]) == 1 for piece in self.pieces])
        lone &= [not text.endswith(tuple(APOSTROPHES)) for text in texts]
        # a word goes on with one of all the letters of a length, and so with a space before them
        group = np.where((self.letters | self.begins) & lone, 2 * self.lengths - self.begins, 0)
        self._groups, self._number = group, int(group.max()) + 1

    def compile_all(self) -> None:
        """Find what follows spellings by a compiled function; nothing without numba."""
        with contextlib.suppress(ImportError):
            from charlm.generation.following_compiled import follow_compiled

            self.follow = follow_compiled

    def following(self, place: Place) -> np.ndarray:
        """Give the tokens (n,) that may come next; only at some places is that all there is to it.

        After a letter, and where a word may begin, they do: `may_be_word` need not be asked.
        """
        return self._following[place]

    @kept
    def may_follow(self) -> np.ndarray:
        """Tell the same of all tokens at each place: 1 for those that may, or 0, (P, V) float64."""
        masks = np.zeros((len(Place), len(self.pieces)))
        for place in Place:
            masks[place, self.following(place)] = 1.0
        return masks

    @kept
    def _following(self) -> dict[Place, np.ndarray]:
        first, going_on = self.letters | self.blank | self.begins, self.goes_on.copy()
        for token in np.flatnonzero(first & ~self.plain).tolist():
            first[token] = may_be_word(self.pieces[token])
        for token in np.flatnonzero(going_on & ~self.plain).tolist():
            going_on[token] = may_be_word(b"a" + self.pieces[token])
        masks = {
            Place.BLANK: first,
            Place.LETTER: going_on,
            Place.APOSTROPHE: self.goes_on,
            Place.CUT: self.letters,
            Place.NOWHERE: self.letters | self.blank,
        }
        return {place: np.flatnonzero(mask) for place, mask in masks.items()}

    def compatible(self, wanted: bytes) -> np.ndarray:
        """Find the tokens (n,) that agree with text that must come next."""
        order, found = self._in_order, list[int]()
        for length in range(1, len(wanted)):
            begin = bisect_left(order, wanted[:length])
            found += self._sorted[begin : bisect_right(order, wanted[:length], begin)]
        begin = bisect_left(order, wanted)
        end = bisect_right(order, wanted, begin, key=lambda piece: piece[: len(wanted)])
        return np.array(found + self._sorted[begin:end], dtype=np.int64)

    def towards(self, text: bytes, blank: bool) -> tuple[int, ...]:
        """Find the tokens by which a word is spelled on that `text` remains of.

        blank: whether it has not begun yet, so that white space may come first
        """
        known = self._towards.get((text, blank))
        if known is None:
            ends = [text + apostrophe.encode() for apostrophe in APOSTROPHES]
            pieces = [text[: length + 1] for length in range(len(text))] + ends
            if blank:
                pieces += [b" " + piece for piece in pieces]
            found = {token for piece in pieces for token in self._of_piece.get(piece, ())}
            known = tuple(found | self._blanks) if blank else tuple(found)
            if len(self._towards) >= MOST_KNOWN:  # of a server, to which any words are sent
                self._towards.clear()
            self._towards[text, blank] = known
        return known

    def bests(self, tokens: np.ndarray, masses: np.ndarray) -> np.ndarray:
        """Give the largest mass, (G,), of each group of tokens of which a word goes on with one.

        The first is the sum over the tokens of which it may go on with several.
        """
        result, groups = np.zeros(self._number), self._groups[tokens]
        np.maximum.at(result, groups, masses)
        result[0] = masses[groups == 0].sum()
        return result


def role_of(piece: bytes) -> Role:
    """Tell a token's role from its bytes; bytes of a character cut in two count as letters."""
    text = piece.decode("utf-8", "replace")
    if not text:
        return Role.OTHER
    if "\ufffd" in text:
        return Role.LETTERS
    if text.isspace():
        return Role.BLANK
    if text[0] in APOSTROPHES and (len(text) == 1 or WORD_PATTERN.fullmatch(text[1:])):
        return Role.APOSTROPHE
    if WORD_PATTERN.match(text):
        return Role.LETTERS
    if text[0] == " " and WORD_PATTERN.match(text, 1):
        return Role.SPACED
    return Role.OTHER


def place_of(spelled: bytes) -> tuple[Place, str]:
    """Tell where a spelling stands, and the word in it, as far as it is one."""
    try:
        text = spelled.decode()
    except UnicodeDecodeError:
        return Place.CUT, ""
    bare = text.strip()
    word = bare.rstrip(APOSTROPHES)
    if not word:
        return (Place.NOWHERE if bare and not text[-1].isspace() else Place.BLANK), ""
    return (Place.LETTER if text.endswith(word) else Place.APOSTROPHE), word


def may_be_word(spelled: bytes) -> bool:
    """Tell whether a spelling is white space, or that and a word or the beginning of one."""
    try:
        text = spelled.decode()
    except UnicodeDecodeError as fault:
        if fault.end < len(spelled) or "unexpected end" not in fault.reason:
            return False
        text = spelled[: fault.start].decode()
    bare = text.lstrip()
    return not bare or WORD_PATTERN.fullmatch(bare.rstrip(APOSTROPHES)) is not None
