"""Where spellings can go on: what was predicted after each, as the search for words takes it.

It hangs on nothing that was typed, and is worked out once for all spellings that stand alike.
n spellings, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from charlm.generation.lexicon import Lexicon, Place, may_be_word, place_of


@dataclass(frozen=True, slots=True)
class Branches:
    """Where one spelling goes on.

    word:   in the spelling, as far as it is one, "" where there is none
    begun:  what every word that it leads to begins with
    ends:   p of the tokens that end the word here
    tokens, shares: that are followed, and p of each, the most probable first
    tails:  the sums of these from each on, and 0
    rest:   p of all others that may follow
    """

    place: Place
    word: str
    begun: str
    ends: float
    tokens: list[int]
    shares: list[float]
    tails: list[float]
    rest: float


def branches_of(
    spelled: Sequence[bytes], shares: Sequence[np.ndarray], lexicon: Lexicon
) -> list[Branches]:
    """Work out where spellings go on; shares: of each, p of every id after it, (V,)."""
    stand = [place_of(each) for each in spelled]
    places = np.array([place for place, _ in stand], dtype=np.int64)
    after = lexicon.follow(np.array(shares), places, lexicon.may_follow, lexicon.ending)
    found = []
    for bytes_of, (place, word), tokens, own, tails, rest, ends in zip(
        spelled, stand, *after, strict=True
    ):
        ended = ends if place in (Place.LETTER, Place.APOSTROPHE) else 0.0
        branches = Branches(place, word, word, ended, tokens, own, tails, rest)
        found.append(_that_spell(bytes_of, branches, lexicon))
    return found


def _that_spell(spelled: bytes, found: Branches, lexicon: Lexicon) -> Branches:
    """Keep the tokens after which a spelling is still white space, then a word, or less."""
    if found.place in (Place.BLANK, Place.LETTER):
        return found
    kept = [
        (token, share)
        for token, share in zip(found.tokens, found.shares, strict=True)
        if may_be_word(spelled + lexicon.pieces[token])
    ]
    tokens, shares = [token for token, _ in kept], [share for _, share in kept]
    begun = found.word
    if found.place == Place.CUT:
        begun = place_of(spelled.decode(errors="ignore").encode())[1]
    own = found.place, found.word, begun, found.ends
    return Branches(*own, tokens, shares, tails_of(shares), found.rest)


def tails_of(shares: Sequence[float]) -> list[float]:
    """Give the sums of shares from each on, and 0 after the last."""
    return list(accumulate(reversed(shares), initial=0.0))[::-1]
