"""Where a prompt ends in a blank: most tokenizers join it to the word that comes next.

A model has hardly seen the blank as a token of its own, with a word behind that has none: what must
be written there, as one of some words, would go by chance. So the blank is taken back from what is
read, as suggestions do, and must be written again, by whatever tokens; it is no part of the answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from charlm.generation.languages import Language
from charlm.text.tokenizers import Tokenizer

BLANK = " "
JOINING = ("word", "bpe")  # kinds of tokenizers whose words have a blank before them


def cut_blank(tokenizer: Tokenizer, prompt: str) -> tuple[str, str]:
    """Cut a prompt into what is read of it, and the blank that is to be written again, if any."""
    before = prompt.removesuffix(BLANK)
    if tokenizer.kind not in JOINING or before == prompt:
        return prompt, ""
    if tokenizer.closed and before.rstrip(BLANK)[-1:] in ("", "\n"):  # a line begins with none
        return prompt, ""
    return before, BLANK


@dataclass(frozen=True)
class BegunLanguage:
    """The texts of a language, each with the same text before it, which was begun already."""

    begun: str
    language: Language

    @property
    def ends(self) -> bool:
        """Tell whether a text that is complete may end for that reason alone."""
        return self.language.ends

    def begins(self, text: str) -> bool:
        """Tell whether a text can go on to a complete one, or is one."""
        if len(text) < len(self.begun):
            return self.begun.startswith(text)
        return text.startswith(self.begun) and self.language.begins(text[len(self.begun) :])

    def holds(self, text: str) -> bool:
        """Tell whether a text is complete."""
        return text.startswith(self.begun) and self.language.holds(text[len(self.begun) :])

    def probes(self, text: str, pending: bytes = b"") -> Iterable[str]:
        """Give characters that could come next."""
        if len(text) >= len(self.begun):
            return self.language.probes(text[len(self.begun) :], pending)
        after = self.begun[len(text)]
        return [after] if after.encode().startswith(pending) else []


def begun_with(begun: str, language: Language) -> Language:
    """Give the language of texts that go on from what was begun."""
    return BegunLanguage(begun, language) if begun else language
