"""Keystrokes saved: what completing words would spare who types a text.

    saved = 1 - keys pressed / keys that the text has

Each word is typed letter by letter until it is among the k that are offered; then one key takes it,
and the space after it. Without that a word costs its letters and one key for what ends it. Who has
typed 40 letters of a word looks no more for it, and types the rest: where nothing parts words, as
in Chinese, a line is one. The measure of word prediction for typing aids: Trnka & McCoy 2008,
"Evaluating Word Prediction".
"""

from collections.abc import Callable
from dataclasses import dataclass

OFFERED = 3  # words at a time
LETTERS = 40  # of a word, before each of which it is looked for among those offered


@dataclass(frozen=True)
class Keystrokes:
    """Keys over some words: those of the text, and those pressed."""

    words: int = 0
    keys: int = 0
    pressed: int = 0

    def add(self, word: str, offered: Callable[[str], bool]) -> "Keystrokes":
        """Type one word more; `offered` tells whether it is, for some beginning of it."""
        pressed = self.pressed + press(word, offered)
        return Keystrokes(self.words + 1, self.keys + len(word) + 1, pressed)

    @property
    def saved(self) -> float | None:
        """Give the share that was saved; None for no words."""
        return 1 - self.pressed / self.keys if self.keys else None


def press(word: str, offered: Callable[[str], bool]) -> int:
    """Count the keys pressed for a word; `offered` tells whether it is, for some beginning of it.

    Nothing is gained by taking a word that is typed already: that costs its letters and one key.
    Of a word of more than LETTERS the rest is typed, and `offered` is asked no more.
    """
    for typed in range(min(len(word), LETTERS)):
        if offered(word[:typed]):
            return typed + 1
    return len(word) + 1
