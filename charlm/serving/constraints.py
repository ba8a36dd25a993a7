"""What answers must be, as a request asks for it: checked, and made ready beside the event loop."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from charlm.errors import UsageError
from charlm.generation.joints import begun_with, cut_blank
from charlm.generation.languages import Language, PatternLanguage, PrefixLanguage, WordLanguage
from charlm.generation.writing import BEFORE
from charlm.serving.engine_languages import complaint
from charlm.serving.fields import Fields
from charlm.serving.options import ServeOptions
from charlm.serving.orders import Constraint
from charlm.serving.refusals import wrong
from charlm.serving.work import too_busy, too_late
from charlm.text.tokenizers import Tokenizer

MOST_WAITING = 8  # expressions: of the worst of them the last is made within half a minute
PREPARATION = 3.0  # seconds of a processor; where case is ignored the first takes one
OWN = {name: name for name in ("regex", "prefix", "words")}  # fields, and what each asks for
GUIDED = {"guided_regex": "regex", "guided_choice": "choice"}  # as vLLM had them up to 0.11
STRUCTURED, OUTPUTS = "structured_outputs", ("regex", "choice")  # and as it has them since
CONSTRAINTS = (*OWN, *GUIDED, STRUCTURED)
_ELSEWHERE = "of what vLLM guides by there are regex and choice"
NOT_TAKEN = dict.fromkeys(
    ("guided_json", "guided_grammar", "guided_decoding_backend", "guided_whitespace_pattern"),
    _ELSEWHERE,
)


@dataclass(frozen=True)
class Wish:
    """What a field asks answers to be.

    kind:  "regex", "prefix", "words", or "choice": words before which no space may come
    value: the expression, the prefix, or the words
    """

    field: str
    kind: str
    value: str | tuple[str, ...]

    def language(self, prompt: str, seconds: float) -> Language:
        """Give the language of answers to a prompt; raise UsageError where there is none.

        seconds: that a regular expression may take to judge one text
        """
        if isinstance(self.value, tuple):
            spaced = self.kind == "words" and not prompt[-1:].isspace()
            return WordLanguage(self.value, spaced)
        if self.kind == "prefix":
            return PrefixLanguage(self.value)
        language = PatternLanguage(self.value, seconds)
        language.prepare(PREPARATION)
        return language


def read_wish(fields: Fields, options: ServeOptions) -> Wish | None:
    """Give what answers must be; raise Refusal for several wishes, and for one beyond a limit."""
    wishes = list(_wishes(fields, options))
    if len(wishes) > 1:
        raise wrong(wishes[1].field, f"cannot be given together with {wishes[0].field}")
    return wishes[0] if wishes else None


def _wishes(fields: Fields, options: ServeOptions) -> Iterator[Wish]:
    for name, kind in (OWN | GUIDED).items():
        if fields.get(name) is not None:
            yield _wish(fields, name, kind, options)
    outputs = fields.get(STRUCTURED)
    if outputs is None:
        return
    if not isinstance(outputs, dict):
        raise wrong(STRUCTURED, f"must be an object, not {outputs!r:.40}")
    given = {name: value for name, value in outputs.items() if value is not None}
    if len(given) != 1 or not given.keys() <= set(OUTPUTS):
        raise wrong(STRUCTURED, f"must have one of {' and '.join(OUTPUTS)}, and nothing else")
    ((kind, value),) = given.items()
    yield _wish(Fields({STRUCTURED: value}), STRUCTURED, kind, options)


def _wish(fields: Fields, name: str, kind: str, options: ServeOptions) -> Wish:
    value: Any
    if kind in ("words", "choice"):
        if isinstance(fields.get(name), str) or not fields.get(name):
            raise wrong(name, "must be a list of texts, and hold one at least")
        value = fields.texts(name, options.max_words, options.max_word_characters)
    else:
        value = fields.text(name)
        pattern = kind == "regex"
        most = options.max_regex_characters if pattern else options.max_word_characters
        if len(value) > most:
            raise wrong(name, f"may have {most} characters at most, not {len(value)}")
    return Wish(name, kind, value)


class ConstraintMaker:
    """Makes constraints of wishes: regular expressions one after the other, in a thread."""

    def __init__(self, tokenizer: Tokenizer, options: ServeOptions) -> None:
        self._tokenizer, self._options = tokenizer, options
        self._thread = ThreadPoolExecutor(1, "charlm expressions")
        self._waiting = 0

    async def make(self, wish: Wish | None, prompt: str | list[int]) -> Constraint | None:
        """Give what answers to a prompt must be; raise Refusal, which names the field.

        Of a prompt of ids nothing is taken back: they are what is read.
        """
        if wish is None:
            return None
        begun = ""
        if isinstance(prompt, str):
            _, begun = cut_blank(self._tokenizer, prompt)
        else:
            prompt = self._tokenizer.decode(prompt[-BEFORE:])
        make = partial(wish.language, prompt, self._options.constraint_seconds)
        try:
            language = await self._in_turn(make) if wish.kind == "regex" else make()
        except UsageError as error:
            raise wrong(wish.field, complaint(error)) from None
        return Constraint(wish.field, begun_with(begun, language), begun)

    async def _in_turn(self, make: Callable[[], Language]) -> Language:
        """Make a language in the thread; raise Refusal where too many wait, or it takes too long.

        What is given up is not made if it was not begun.
        """
        if self._waiting >= min(self._options.queue, MOST_WAITING):
            raise too_busy(PREPARATION)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._options.request_seconds):
                return await asyncio.get_running_loop().run_in_executor(self._thread, make)
        except TimeoutError:
            raise too_late(self._options.request_seconds) from None
        finally:
            self._waiting -= 1
