"""The options of generation, as people give them by name, made ready for the Generator."""

from collections.abc import Mapping
from typing import Any

from charlm.errors import UsageError
from charlm.generation.options import SamplingOptions
from charlm.options import did_you_mean

MAX_TOKENS = 200
TEMPERATURE = 0.8
OTHERS = ("stop", "max_tokens", "seed")


def sampling_defaults() -> dict[str, Any]:
    """Give the sampling options that count where none are given."""
    return {"temperature": TEMPERATURE}


def generator_keywords(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give the Generator's keywords for options by name.

    Raises UsageError for a name that is none, and for values that make no sense.
    """
    rules = sampling_defaults()
    own: dict[str, Any] = {"max_tokens": MAX_TOKENS}
    known = [*SamplingOptions.__dataclass_fields__, *OTHERS]
    for name, value in options.items():
        if name not in known:
            raise UsageError(f"unknown option '{name}'", did_you_mean(name, known))
        if name == "stop":
            own["stops"] = [value] if isinstance(value, str) else list(value or ())
        else:
            (own if name in OTHERS else rules)[name] = value
    return own | {"options": SamplingOptions(**rules)}
