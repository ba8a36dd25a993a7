"""Where spellings can go on: what was predicted after each, as the search for words takes it.

It hangs on nothing that was typed, and is worked out once for all spellings that stand alike.
n spellings, V vocabulary, T tokens that may follow, B of them that are followed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from charlm.generation.lexicon import Lexicon, Place, may_be_word, place_of

MOST = 64  # tokens followed from one spelling
FAINT = 1e-6  # share of a token that is not worth opening


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
    found: list[Branches | None] = [None] * len(spelled)
    for place in {place for place, _ in stand}:
        own = [number for number, (other, _) in enumerate(stand) if other == place]
        probs = np.array([shares[number] for number in own])
        branches = _of_place(place, [stand[number][1] for number in own], probs, lexicon)
        for number, each in zip(own, branches, strict=True):
            found[number] = _that_spell(spelled[number], each, lexicon)
    return [each for each in found if each is not None]


def _of_place(
    place: Place, words: list[str], probs: np.ndarray, lexicon: Lexicon
) -> Iterator[Branches]:
    """Do so for spellings that stand alike, by probs (n, V)."""
    ends = np.zeros(len(words))
    if place in (Place.LETTER, Place.APOSTROPHE):
        ends = probs.take(lexicon.ends_tokens, axis=1).sum(axis=1)
    tokens = lexicon.following(place)
    own = probs.take(tokens, axis=1)  # (n, T)
    total, best = own.sum(axis=1), np.broadcast_to(np.arange(len(tokens)), own.shape)
    if len(tokens) > MOST:
        best = np.argpartition(own, -MOST, axis=1)[:, -MOST:]
        best.sort(axis=1)  # equals in the order of their ids
    kept = np.take_along_axis(own, best, axis=1)  # (n, B)
    order = np.argsort(-kept, axis=1, kind="stable")
    best, kept = np.take_along_axis(best, order, axis=1), np.take_along_axis(kept, order, axis=1)
    strong = kept > FAINT
    tails = np.zeros((len(kept), kept.shape[1] + 1))
    tails[:, :-1] = np.cumsum((kept * strong)[:, ::-1], axis=1)[:, ::-1]
    sums = ends.tolist(), np.maximum(total - tails[:, 0], 0.0).tolist()
    columns = strong.sum(axis=1).tolist(), tokens[best].tolist(), kept.tolist(), tails.tolist()
    for word, ended, rest, count, ids, own, sums_of in zip(words, *sums, *columns, strict=True):
        yield Branches(
            place, word, word, ended, ids[:count], own[:count], sums_of[: count + 1], rest
        )


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
