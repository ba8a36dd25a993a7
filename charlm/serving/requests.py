"""What a client asks for, checked: a completion in OpenAI's legacy form, or suggestions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from charlm.generation.options import SamplingOptions
from charlm.serving import constraints
from charlm.serving.constraints import CONSTRAINTS, Wish, read_wish
from charlm.serving.fields import SAMPLING, Fields
from charlm.serving.options import ServeOptions
from charlm.serving.refusals import Refusal, wrong

MAX_TOKENS = 16  # where nothing is said, as OpenAI has it
LARGEST_SEED = (1 << 63) - 1
FIELDS = (
    *("model", "prompt", "max_tokens", "n", "stop", "seed", "stream", "stream_options"),
    *("logprobs", "echo", "logit_bias", *SAMPLING),
    *CONSTRAINTS,
)
NOT_TAKEN = {
    "best_of": "samples are not ranked here: ask for n and choose",
    "suffix": "a recurrent model knows only what comes before",
    "user": "requests are not told apart by who asks",
    "messages": "this server completes text and does not chat: send a 'prompt'",
    "max_completion_tokens": "did you mean 'max_tokens'?",
    "max_new_tokens": "did you mean 'max_tokens'?",
    **constraints.NOT_TAKEN,
}
Prompt: TypeAlias = str | list[int]


@dataclass(frozen=True)
class CompletionRequest:
    """A completion of each of several prompts: `count` choices each, numbered prompt by prompt."""

    prompts: tuple[Prompt, ...]
    options: SamplingOptions
    max_tokens: int
    stops: tuple[str, ...]
    seed: int | None
    count: int
    echo: bool
    logprobs: int | None
    stream: bool
    include_usage: bool
    wish: Wish | None = None


def read_completion(
    given: dict[str, Any],
    options: ServeOptions,
    model: str,
    vocab_size: int,
    defaults: Mapping[str, Any] = {},
) -> CompletionRequest:
    """Check a request for completions; raise Refusal, which names the field.

    defaults: how tokens are chosen where a request does not say, in place of OpenAI's defaults
    """
    usual = min(MAX_TOKENS, options.max_tokens)
    fields = Fields(given)
    fields.refuse_unknown(FIELDS, NOT_TAKEN)
    check_model(fields, model)
    prompts = _prompts(fields.get("prompt"), vocab_size)
    count = fields.whole("n", 1, options.max_samples, 1) or 1
    if len(prompts) * count > options.max_choices:
        asked = f"{len(prompts)} prompts with n = {count}"
        raise wrong(
            "prompt", f"may ask for {options.max_choices} choices at most: {asked} are more"
        )
    echo, stream = fields.flag("echo"), fields.flag("stream")
    max_tokens = fields.whole("max_tokens", 0 if echo else 1, options.max_tokens, usual)
    return CompletionRequest(
        prompts,
        fields.sampling(vocab_size, defaults),
        usual if max_tokens is None else max_tokens,
        fields.texts("stop", options.max_stops, options.max_stop_characters),
        fields.whole("seed", 0, LARGEST_SEED, None),
        count,
        echo,
        fields.whole("logprobs", 0, options.max_logprobs, None),
        stream,
        _include_usage(fields.get("stream_options"), stream),
        read_wish(fields, options),
    )


def read_suggestion(given: dict[str, Any], options: ServeOptions, model: str) -> tuple[str, int]:
    """Check a request for suggestions; give the text and how many. Raises Refusal."""
    fields = Fields(given)
    fields.refuse_unknown(("text", "k", "model"), {"prompt": "did you mean 'text'?"})
    check_model(fields, model)
    text = fields.text("text")
    if text is None:
        raise wrong("text", "is missing")
    return text, fields.whole("k", 1, options.max_suggestions, 5) or 5


def check_model(fields: Fields, model: str) -> None:
    """Refuse another model than the one that is here; who names none means it."""
    name = fields.text("model")
    if name is not None and name != model:
        message = f"there is no model {name!r:.60} here: this is '{model}'"
        raise Refusal(404, message, field="model", code="model_not_found")


def _prompts(given: Any, vocab_size: int) -> tuple[Prompt, ...]:  # noqa: ANN401
    """Give the prompts out of their four forms: a text, texts, ids, lists of ids."""
    if given is None:
        raise wrong("prompt", "is missing")
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, list) or not given:
        raise wrong("prompt", "must be a text, a list of texts, ids of tokens, or lists of ids")
    if all(isinstance(part, str) for part in given):
        return tuple(given)
    lists = given if isinstance(given[0], list) else [given]
    for ids in lists:
        if not isinstance(ids, list) or not ids:
            raise wrong("prompt", "must hold either texts or lists of ids, none of them empty")
        for token in ids:
            if not isinstance(token, int) or isinstance(token, bool):
                raise wrong("prompt", f"mixes ids with {token!r:.40}")
            if not 0 <= token < vocab_size:
                raise wrong("prompt", f"has the id {token!r:.40}: ids are 0 to {vocab_size - 1}")
    return tuple(lists)


def _include_usage(given: Any, stream: bool) -> bool:  # noqa: ANN401
    if given is None:
        return False
    if not stream:
        raise wrong("stream_options", "is only for stream = true")
    if not isinstance(given, dict):
        raise wrong("stream_options", "must be an object")
    for name in given:
        if name != "include_usage":
            raise wrong("stream_options", f"has no {name!r:.60}: it has 'include_usage'")
    return Fields(given).flag("include_usage")
