"""The guard of a text that must be of a language: it forbids what leads out of it.

Where a text is complete, to end is a choice, as probable as all tokens together that would lead out
of the language: when such a one is drawn, the text ends before it.
"""

from charlm.generation.languages import Language
from charlm.text.tokenizers import Decoder

BROKEN = "�"


class LanguageGuard:
    """Watches one text while it is written.

    boundary_id: of the token by which a model ends a text; None where it cannot
    decoder:     has taken all tokens so far; is only asked what others would add
    text:        what was written before
    """

    def __init__(
        self, language: Language, boundary_id: int | None, decoder: Decoder, text: str = ""
    ) -> None:
        self._language, self._boundary, self._decoder = language, boundary_id, decoder
        self._text = text
        self._verdicts: dict[int, bool] = {}  # of tokens, after the text as it is,
        self._firsts: dict[str, bool] = {}  # and of characters: whether one may come first

    @property
    def complete(self) -> bool:
        """Tell whether the text may end here because it is of the language."""
        return self._language.ends and not self._decoder.pending() and self._holds()

    @property
    def reason(self) -> str:
        """Say why no token is left."""
        return "match" if self.complete else "stuck"

    @property
    def finished(self) -> str:
        """Say why nothing may follow any more; "" where something may."""
        if not self.complete:
            return ""
        return "" if self._goes_on() else "match"

    def forbids(self, token: int) -> bool:
        """Tell whether a token leads out of the language, or ends a text that is not complete."""
        if token not in self._verdicts:
            self._verdicts[token] = not self._allows(token)
        return self._verdicts[token]

    def take(self, token: int, text: str) -> None:
        """Take the next token, and the text that it has added."""
        self._text += text
        self._verdicts.clear()
        self._firsts.clear()

    def _goes_on(self) -> bool:
        joints = self._decoder.joints()
        longer = joints if all(joints) else self._language.probes(self._text)
        return any(self._language.begins(self._text + added) for added in longer)

    def _may_follow(self, character: str) -> bool:
        """Tell whether a character may come next; few are asked about where many tokens are."""
        if character not in self._firsts:
            self._firsts[character] = self._language.begins(self._text + character)
        return self._firsts[character]

    def _holds(self) -> bool:
        return self._language.holds(self._text)

    def _allows(self, token: int) -> bool:
        if token == self._boundary:
            return not self._decoder.pending() and self._holds()
        added, pending = self._decoder.peek_one(token), b""
        if added is None:
            added, pending = self._decoder.peek([token]), self._decoder.pending([token])
        if added and not self._may_follow(added[0]):
            return False
        if BROKEN in added:  # bytes that are no character
            return False
        text = self._text + added
        if not pending:
            joints = self._decoder.joints([token])
            goes_on = any(self._language.begins(text + joint) for joint in joints)
            # what holds also begins, and need not be asked again
            return bool(added) and (goes_on or ("" not in joints and self._language.holds(text)))
        probes = self._language.probes(text, pending)
        return any(self._language.begins(text + probe) for probe in probes)
