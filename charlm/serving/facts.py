"""What the server tells of its model, and reads requests by."""

from dataclasses import dataclass, field
from typing import Any

from charlm.language.generating import sampling_defaults
from charlm.language.handle import LanguageModel
from charlm.text.tokenizers import Tokenizer


@dataclass(frozen=True)
class ModelFacts:
    """A model as clients see it.

    name:     the last part of its directory's path
    created:  when its directory was written, in seconds since 1970
    defaults: of the sampling options
    """

    name: str
    created: int
    tokenizer: Tokenizer
    defaults: dict[str, Any] = field(default_factory=dict)


def facts_of(model: LanguageModel) -> ModelFacts:
    """Gather them."""
    directory = model.directory.resolve()
    created = int((directory / "config.json").stat().st_mtime)
    return ModelFacts(directory.name, created, model.tokenizer, sampling_defaults())
