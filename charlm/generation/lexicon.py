"""What each token does to a word that is being spelled: begin it, go on with it, or end it."""

from enum import IntEnum

import numpy as np

from charlm.text.pretokens import APOSTROPHES, WORD_PATTERN
from charlm.text.tokenizers import Tokenizer


class Role(IntEnum):
    """What a token begins with, as far as words go."""

    LETTERS = 0  # word characters only, or part of one: begins a word or goes on with it
    SPACED = 1  # one space, then word characters: begins a word, ends one that is there
    BLANK = 2  # white space only
    OTHER = 3  # punctuation, or the boundary: no word
    APOSTROPHE = 4  # goes on with a word if letters follow


class Lexicon:
    """The roles of all tokens of a lossless tokenizer, as (V,) masks."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.pieces = tokenizer.pieces
        roles = np.array([role_of(piece) for piece in tokenizer.pieces])
        self.begins = roles == Role.SPACED  # with its own space before it
        self.goes_on = (roles == Role.LETTERS) | (roles == Role.APOSTROPHE)
        self.letters = roles == Role.LETTERS
        self.blank = roles == Role.BLANK
        self.ends = (roles == Role.SPACED) | (roles == Role.BLANK) | (roles == Role.OTHER)

    def compatible(self, wanted: bytes) -> list[int]:
        """Find the tokens that agree with text that must come next."""
        return [
            token
            for token, piece in enumerate(self.pieces)
            if piece and (piece.startswith(wanted) or wanted.startswith(piece))
        ]


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
