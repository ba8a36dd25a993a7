"""The options of generation, as people name them, made ready; and a model's own defaults."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from charlm.errors import ModelError, UsageError
from charlm.generation.options import BeamOptions, SamplingOptions, biases_of
from charlm.language.directory import GENERATION_CONFIG
from charlm.options import check, checked, did_you_mean
from charlm.runs.files import read_plain_json

MAX_TOKENS, TEMPERATURE = 200, 0.8
OTHERS = ("stop", "max_tokens", "seed")
MADE_HERE = ("words", "logit_bias")  # of what people give
ALIASES = {  # names that people know from elsewhere
    "max_new_tokens": "max_tokens",
    "stop_strings": "stop",
    "min_new_tokens": "min_tokens",
    "num_beams": "beams",
    "n": "count",
    "num_return_sequences": "count",
}
DRAWING = (  # what has no say in a beam search
    *("temperature", "top_k", "top_p", "min_p", "typical_p", "eta_cutoff", "repetition_penalty"),
    *("presence_penalty", "frequency_penalty", "no_repeat_ngram_size", "min_tokens", "logit_bias"),
)
KEPT = (  # of generation_config.json, under the names of Hugging Face
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "eta_cutoff",
    "repetition_penalty",
    "no_repeat_ngram_size",
)


def read_defaults(directory: Path) -> dict[str, Any]:
    """Give the options that count where none are given: a model's own, and else charlm's."""
    return {"temperature": TEMPERATURE, "max_tokens": MAX_TOKENS} | read_own_defaults(directory)


def read_own_defaults(directory: Path) -> dict[str, Any]:
    """Give the options that a model's generation_config.json has, by charlm's names.

    Keys of which charlm knows nothing count for nothing. Raises ModelError for a value that makes
    no sense.
    """
    path = directory / GENERATION_CONFIG
    if not path.exists():
        return {}
    value = read_plain_json(path)
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object")
    given = {name: value[name] for name in KEPT if value.get(name) is not None}
    try:
        SamplingOptions(**checked(SamplingOptions, given))
    except UsageError as fault:
        raise ModelError(f"{path}: {fault.message.removeprefix('--')}", fault.hint) from fault
    most, sampled = value.get("max_new_tokens"), value.get("do_sample")
    if most is not None:
        if not isinstance(most, int) or isinstance(most, bool) or most < 0:
            raise ModelError(f"{path}: max_new_tokens must be 0 or more, not {most!r:.40}")
        given["max_tokens"] = most
    if sampled not in (None, True, False):
        raise ModelError(f"{path}: do_sample must be true or false, not {sampled!r:.40}")
    if sampled is False:
        given["temperature"] = 0.0
    return given


def by_own_names(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give options by charlm's names; raise UsageError for one that is given by two."""
    named: dict[str, Any] = {}
    for name, value in options.items():
        own = ALIASES.get(name, name)
        if own in named:
            raise UsageError(f"'{name}' and '{own}' are the same option: give one")
        named[own] = value
    return named


def check_single(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give options of one text by charlm's names; raise UsageError where several are wanted."""
    named = by_own_names(options)
    single = named.pop("count", 1) == 1
    check(single, "this writes one text; samples(prompt, count=N) writes several")
    return named


def generator_keywords(
    options: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    vocab_size: int = sys.maxsize,
) -> dict[str, Any]:
    """Give the Generator's keywords for options by name, with a model of so many tokens.

    Raises UsageError for a name that is none, and for values that make no sense.
    """
    sampling, beams = SamplingOptions.__dataclass_fields__, BeamOptions.__dataclass_fields__
    known = [*sampling, *beams, *OTHERS]
    rules: dict[str, Any] = {"temperature": TEMPERATURE}
    own: dict[str, Any] = {"max_tokens": MAX_TOKENS}
    given = by_own_names(options)
    for name, value in {**(defaults or {}), **given}.items():
        if name not in known:
            raise UsageError(f"unknown option '{name}'", did_you_mean(name, [*known, *ALIASES]))
        if isinstance(value, np.generic):
            value = value.item()
        if name == "stop":
            stops = [value] if isinstance(value, str) else value or ()
            texts = isinstance(stops, list | tuple) and all(isinstance(s, str) for s in stops)
            check(texts, f"stop must be a text or a list of texts, not {value!r:.40}")
            own["stops"] = list(stops)
        elif name in beams:
            own.setdefault("beams", {})[name] = value
        elif name == "words" and value is not None:
            rules[name] = value if isinstance(value, str) else tuple(value)
        elif name == "logit_bias" and value is not None:
            rules[name] = biases_of(value, vocab_size)
        else:
            (own if name in OTHERS else rules)[name] = value
    for name in ("max_tokens", "seed"):
        value = own.get(name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        optional = name == "seed" and value is None
        check(whole or optional, f"{name} must be a whole number, not {value!r:.40}")
    if "beams" in own:
        own["beams"] = BeamOptions(**checked(BeamOptions, own["beams"]))
    checked(SamplingOptions, {k: v for k, v in rules.items() if k not in MADE_HERE})
    _check_search(given, own.get("beams", BeamOptions()))
    return own | {"options": SamplingOptions(**rules)}


def _check_search(given: Mapping[str, Any], beams: BeamOptions) -> None:
    """Raise UsageError for options that count for nothing: here of a search, there of drawing."""
    if not beams.beams:
        check("length_penalty" not in given, "--length-penalty is for --beams: give both")
        return
    for name, field in SamplingOptions.__dataclass_fields__.items():
        value = given.get(name, field.default)
        asked = name in DRAWING and bool(value) and value != field.default
        flag = f"--{name.replace('_', '-')}"
        check(not asked, f"{flag} is for texts that are drawn, not for --beams")
