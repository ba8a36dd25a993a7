"""What follows a prompt of Simon Willison's `llm`, without `llm` itself."""

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from charlm.errors import UsageError
from charlm.language.combination import BEST
from charlm.language.handle import LanguageModel, load

VARIABLE = "CHARLM_MODEL"  # in the environment: the model where none is named
KEPT = 2  # models that stay loaded between prompts


def continue_text(
    text: str, model: str | None, options: Mapping[str, Any], predictor: str | None = None
) -> Iterator[str]:
    """Continue a text with a model, piece by piece; options as for `LanguageModel.generate`.

    Without `model` it is the one that the environment names. Raises UsageError where there is
    none, or for an option that cannot work, and ModelError.
    """
    directory = model or os.environ.get(VARIABLE)
    if not directory:
        raise UsageError(
            "no model is named", f"-o model DIRECTORY, {VARIABLE}=DIRECTORY, or llm charlm add"
        )
    given = {name: value for name, value in options.items() if value is not None}
    yield from _loaded(directory, predictor or BEST).stream(text, **given)


def whole_text(messages: Iterable[Any]) -> str:
    """Put a conversation together: a text and what was written on, again and again.

    messages: each has parts, of which those that are text have it as `text`. A model of plain text
    knows no roles; it goes on from all that was said.
    """
    parts = (part for message in messages for part in message.parts)
    return "".join(getattr(part, "text", "") for part in parts)


@lru_cache(maxsize=KEPT)
def _loaded(directory: str, predictor: str) -> LanguageModel:
    return load(directory, predictor=predictor)
