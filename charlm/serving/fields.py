"""The fields of a request, each of its own type and within its limits; nothing else is taken."""

from collections.abc import Collection, Mapping
from typing import Any

from charlm.errors import UsageError
from charlm.generation.options import SamplingOptions, biases_of
from charlm.options import checked, did_you_mean
from charlm.serving.refusals import Refusal, wrong

SAMPLING = (
    *("temperature", "top_k", "top_p", "min_p", "typical_p", "eta_cutoff", "min_tokens"),
    *("repetition_penalty", "presence_penalty", "frequency_penalty", "no_repeat_ngram_size"),
)
HOTTEST = 2.0  # as OpenAI's


class Fields:
    """The fields of one request; each is looked at by the method of its type."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given

    def refuse_unknown(self, known: Collection[str], why: Mapping[str, str]) -> None:
        """Refuse fields that are not known, and say why not, or which was meant.

        why: of names that people know from elsewhere; null is none of them given
        """
        for name, value in self._given.items():
            if name in known or (name in why and value is None):
                continue
            reason = why.get(name) or did_you_mean(name[:60], known)
            reason = reason or f"known are {', '.join(known)}"
            message = f"{name!r:.60} is not a field of this request: {reason}"
            raise Refusal(400, message, field=_shown(name), code="unknown_field")

    def get(self, name: str) -> Any:  # noqa: ANN401
        """Give a field as it is, None where it is not given."""
        return self._given.get(name)

    def flag(self, name: str) -> bool:
        """Give a field that is true or false."""
        value = self.get(name)
        if value is not None and not isinstance(value, bool):
            raise wrong(name, f"must be true or false, not {value!r:.40}")
        return bool(value)

    def whole(self, name: str, least: int, most: int, usual: int | None) -> int | None:
        """Give a whole number of a range."""
        value = self.get(name)
        if value is None:
            return usual
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong(name, f"must be a whole number, not {value!r:.40}")
        if not least <= value <= most:
            raise wrong(name, f"must be from {least} to {most}, not {value!r:.40}")
        return value

    def text(self, name: str) -> str | None:
        """Give a text."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise wrong(name, f"must be a text, not {value!r:.40}")
        return value

    def texts(self, name: str, most: int, longest: int) -> tuple[str, ...]:
        """Give a text, or several; none of them empty."""
        value = self.get(name)
        found = [value] if isinstance(value, str) else [] if value is None else value
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise wrong(name, f"must be a text or a list of texts, not {value!r:.40}")
        if len(found) > most:
            raise wrong(name, f"may be {most} texts at most, not {len(found)}")
        if not all(1 <= len(text) <= longest for text in found):
            raise wrong(name, f"must be texts of 1 to {longest} characters")
        return tuple(found)

    def sampling(self, vocab_size: int, defaults: Mapping[str, Any] = {}) -> SamplingOptions:
        """Give how tokens are chosen: by `defaults`, and else from the model's own distribution."""
        given = {name: self.get(name) for name in SAMPLING if self.get(name) is not None}
        for name, value in given.items():
            try:
                SamplingOptions(**checked(SamplingOptions, {name: value}))
            except UsageError as error:
                raise wrong(name, _said_of(name, error)) from None
        if (biases := self.get("logit_bias")) is not None:
            try:
                given["logit_bias"] = biases_of(biases, vocab_size)
            except UsageError as error:
                raise wrong("logit_bias", _said_of("logit_bias", error)) from None
        temperature = given.get("temperature", 0)
        if temperature > HOTTEST:
            raise wrong("temperature", f"must be from 0 to {HOTTEST:g}, not {temperature}")
        return SamplingOptions(**{**defaults, **given})


def _said_of(name: str, error: UsageError) -> str:
    """Give what the library says of an option, without the name that the command line has."""
    flag = f"--{name.replace('_', '-')}"
    for start in (flag, f"option '{name}'", name):
        if error.message.startswith(f"{start} "):
            hint = f": {error.hint}" if error.hint else ""
            return f"{error.message.removeprefix(start).strip()[:200]}{hint}"
    return f"cannot be that: {error.message[:200]}"


def _shown(name: str) -> str:
    return repr(name[:60])[1:-1]
