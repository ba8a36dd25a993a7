"""What a request for completions asks for: from JSON to orders for the engine.

The form is that of OpenAI's POST /v1/completions. Texts are tokenized here, so this belongs into a
thread beside the one that talks to clients.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from charlm.errors import CharlmError
from charlm.generation.generator import fresh_seed
from charlm.generation.options import SamplingOptions
from charlm.serving import fields
from charlm.serving.facts import ModelFacts
from charlm.serving.options import Limits
from charlm.serving.orders import Order
from charlm.serving.refusals import Refusal, bad
from charlm.text.tokenizers import Tokenizer

MAX_TOKENS = 16  # what OpenAI's clients expect where they say nothing
RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "repetition_penalty": (0.0, 10.0),
}
ABOVE = ("top_p", "typical_p", "repetition_penalty")  # the least is out of the range
OF_OPENAI = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
NO_CHANGE: dict[str, tuple[Any, ...]] = {
    "best_of": (None, 1),
    "suffix": (None, ""),
    "logit_bias": (None, {}),
    "presence_penalty": (None, 0, 0.0),
    "frequency_penalty": (None, 0, 0.0),
}
PLAIN = (
    "model",
    "prompt",
    "max_tokens",
    "n",
    "stream",
    "stream_options",
    "logprobs",
    "echo",
    "stop",
    "seed",
    "user",
)


@dataclass(frozen=True)
class Wanted:
    """A request that makes sense: an order for each prompt, and how to answer."""

    orders: tuple[Order, ...]
    stream: bool
    include_usage: bool


class CompletionParser:
    """Reads requests for one model within limits."""

    def __init__(self, facts: ModelFacts, limits: Limits) -> None:
        self._facts, self._limits = facts, limits
        own = {field.name for field in dataclasses.fields(SamplingOptions)}
        self._sampling = [name for name in RANGES if name in own]
        if "top_k" in own:
            self._sampling.append("top_k")
        self._known = [*PLAIN, *self._sampling, *NO_CHANGE]

    def parse(self, body: Mapping[str, Any]) -> Wanted:
        """Check everything; raise Refusal that names the first field that is wrong."""
        fields.known_only(body, self._known)
        for name, allowed in NO_CHANGE.items():
            if name in body and name not in self._sampling:
                fields.must_be(name, body[name], allowed)
        given = {name: value for name, value in body.items() if value is not None}
        check_model(given.get("model"), self._facts)
        fields.text("user", given.get("user", ""))
        stream = fields.flag("stream", given.get("stream", False))
        limits = self._limits
        count = fields.whole("n", given.get("n", 1), 1, limits.max_samples)
        order = Order(
            prompt=np.zeros(0, dtype=np.int64),
            options=self._options(given),
            max_tokens=fields.whole(
                "max_tokens", given.get("max_tokens", MAX_TOKENS), 1, limits.max_completion_tokens
            ),
            stops=fields.texts(
                "stop", given.get("stop", []), limits.max_stops, limits.max_stop_characters
            ),
            count=count,
            echo=fields.flag("echo", given.get("echo", False)),
            logprobs=None
            if "logprobs" not in given
            else fields.whole("logprobs", given["logprobs"], 0, limits.max_logprobs),
        )
        usage, seed = _include_usage(given, stream), _seed(given)
        prompts = self._prompts(given)
        if count * len(prompts) > limits.streams:
            raise bad(
                f"{len(prompts)} prompts with n {count} are more than the {limits.streams} samples "
                "that are written at a time",
                "n",
            )
        orders = [
            dataclasses.replace(order, prompt=prompt, seed=seed + number)
            for number, prompt in enumerate(prompts)
        ]
        return Wanted(tuple(orders), stream, usage)

    def _options(self, given: Mapping[str, Any]) -> SamplingOptions:
        values = dict(self._facts.defaults)
        for name in self._sampling:
            if name not in given:
                continue
            if name == "top_k":
                values[name] = fields.whole(name, given[name], 0, self._facts.tokenizer.vocab_size)
            else:
                values[name] = fields.number(name, given[name], *RANGES[name], name in ABOVE)
        return SamplingOptions(**values)

    def _prompts(self, given: Mapping[str, Any]) -> list[np.ndarray]:
        prompt = given.get("prompt")
        if prompt is None:
            raise bad("prompt is missing: a text, or a list of token ids", "prompt")
        several = isinstance(prompt, list) and bool(prompt) and isinstance(prompt[0], str | list)
        if several and len({type(each) for each in prompt}) > 1:
            raise bad("prompt mixes texts with token ids", "prompt")
        prompts = prompt if several else [prompt]
        if len(prompts) > self._limits.max_prompts:
            raise bad(
                f"prompt may hold {self._limits.max_prompts} prompts, not {len(prompts):,}",
                "prompt",
            )
        return [self._ids(each) for each in prompts]

    def _ids(self, prompt: Any) -> np.ndarray:  # noqa: ANN401
        tokenizer, most = self._facts.tokenizer, self._limits.max_prompt_tokens
        if isinstance(prompt, str):
            return text_ids(tokenizer, prompt, most, "prompt")
        if not isinstance(prompt, list) or not all(
            isinstance(token, int) and not isinstance(token, bool) for token in prompt
        ):
            raise bad(
                "prompt must be a text, a list of texts, a list of token ids, or a list of such "
                "lists",
                "prompt",
            )
        if not prompt:
            raise bad("prompt must not be an empty list", "prompt")
        _check_length(len(prompt), most, "prompt")
        for token in prompt:
            if not 0 <= token < tokenizer.vocab_size:
                raise bad(
                    f"prompt holds a token id that is not between 0 and {tokenizer.vocab_size - 1}",
                    "prompt",
                )
        return np.array(prompt, dtype=np.int64)


def text_ids(tokenizer: Tokenizer, text: str, most: int, name: str) -> np.ndarray:
    """Tokenize a text; raise Refusal for more tokens than `most`, early where it is certain."""
    longest = max(map(len, tokenizer.pieces))
    if not tokenizer.closed and len(text) > most * longest:
        _check_length(-(-len(text) // longest), most, name)
    try:
        ids = np.asarray(tokenizer.encode(text), dtype=np.int64)
    except CharlmError as error:
        raise bad(error.message, name) from error
    _check_length(len(ids), most, name)
    return ids


def check_model(name: object, facts: ModelFacts) -> None:
    """Refuse another model's name; None is the one there is."""
    if name is not None and fields.text("model", name) != facts.name:
        raise Refusal(
            404,
            f"there is no model {name[:60]!r} here: it is {facts.name!r}",  # type: ignore[index]
            param="model",
            code="model_not_found",
        )


def _check_length(tokens: int, most: int, name: str) -> None:
    if tokens > most:
        raise bad(
            f"{name} has {tokens:,} tokens; at most {most:,} are read",
            name,
            "context_length_exceeded",
        )


def _include_usage(given: Mapping[str, Any], stream: bool) -> bool:
    options = given.get("stream_options", {})
    if not isinstance(options, dict):
        raise bad("stream_options must be an object", "stream_options")
    if options and not stream:
        raise bad("stream_options is for streams only: send stream true too", "stream_options")
    fields.known_only(options, ("include_usage",))
    return fields.flag("stream_options.include_usage", options.get("include_usage", False))


def _seed(given: Mapping[str, Any]) -> int:
    if "seed" in given:
        return fields.whole("seed", given["seed"], 0, fields.LARGEST_SEED)
    return fresh_seed()
