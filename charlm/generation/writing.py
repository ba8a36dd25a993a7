"""One sample while it is being written: what it draws by, what it has written, why it stopped."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from charlm.generation.options import SamplingOptions
from charlm.generation.stopping import StopFilter
from charlm.text.tokenizers import Decoder, Tokenizer

HISTORY = 256  # ids that penalties look back on, of what was written and of the prompt before it
DRAWN = 64  # numbers of noise at a time, which are the same as one by one
BEFORE = 8  # ids of the prompt that the decoder takes: a character may have begun in them


class Guard(Protocol):
    """Watches a text while it is written, and forbids tokens."""

    @property
    def reason(self) -> str:
        """Say what a sample is `stopped_by` if this guard leaves it no token, or it ends here."""

    @property
    def finished(self) -> str:
        """Say what a sample is `stopped_by` as nothing may follow; "" where something may."""

    @property
    def complete(self) -> bool:
        """Tell whether a sample ends here if what is drawn next is forbidden."""

    def forbids(self, token: int) -> bool:
        """Tell whether a token must not come next."""

    def take(self, token: int, text: str) -> None:
        """Take the next token, and the text that it has added."""


class EndGuard:
    """Lets the model end a text only after so many tokens."""

    reason = "stuck"
    finished = ""
    complete = False

    def __init__(self, boundary_id: int, least: int, decoder: Decoder) -> None:
        self._boundary, self._left = boundary_id, least

    def forbids(self, token: int) -> bool:
        """Tell whether the token would end the text too early."""
        return token == self._boundary and self._left > 0

    def take(self, token: int, text: str) -> None:
        """Take the next token."""
        self._left -= 1


GuardMaker: TypeAlias = Callable[[Decoder], Guard]


@dataclass(frozen=True)
class Sample:
    """One text written by a model; `nats` is -log p of its tokens under the model itself.

    stopped_by: "length", "stop" (a stop string), "end" (the model ended the text), "match" (it is
                complete, as a constraint asked for it), "stuck" (no token could go on with what a
                constraint asks for) or "copy" (each would have copied more than `max_copy` allows)
    """

    text: str
    tokens: int
    nats: float
    stopped_by: str

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        return asdict(self)


class Writing:
    """One sample while it is being written. Its noise comes from (seed, number) alone.

    tokens, nats, text: what was written so far, and -log p of it under the model itself
    characters:         decoded so far, with what a stop string may still take back
    stopped_by:         as in `Sample`; empty while it goes on

    guards:       each is made with the decoder, which has taken all tokens so far
    alternatives: how many of the most probable ids are wanted beside each that is written
    begun:        characters that it begins with and are no part of it: a prompt had them already
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        options: SamplingOptions,
        *,
        max_tokens: int,
        seed: int,
        number: int = 0,
        prompt_ids: Sequence[int] | np.ndarray = (),
        stops: Sequence[str] = (),
        guards: Sequence[GuardMaker] = (),
        alternatives: int = 0,
        begun: int = 0,
    ) -> None:
        self.options, self.number, self.alternatives = options, number, alternatives
        self.vocab_size = tokenizer.vocab_size
        self.tokens, self.nats, self.characters = 0, 0.0, 0
        self.text: list[str] = []
        self.stopped_by = "" if max_tokens else "length"
        self._most, self._begun = max_tokens, begun
        self._end = None if tokenizer.closed else tokenizer.boundary_id
        self._random = np.random.default_rng([seed, number])
        self._noise: list[float] = []  # drawn already, the next one last
        self._decoder = tokenizer.decoder()
        self._decoder.push([int(token) for token in prompt_ids[-BEFORE:]])
        self._stop = StopFilter(stops)
        self._past = np.full(2 * HISTORY, -1, dtype=np.int64)  # the last end at `_now`
        self._now = HISTORY
        if last := [int(token) for token in prompt_ids[-HISTORY:]]:
            self._past[HISTORY - len(last) : HISTORY] = last
        self.guards = [make(self._decoder) for make in guards]

    def noise(self) -> float:
        """Give the next number of its noise, uniform in [0, 1)."""
        if not self._noise:
            self._noise = self._random.random(DRAWN)[::-1].tolist()
        return self._noise.pop()

    def history(self) -> np.ndarray:
        """Give the last ids of prompt and text, (HISTORY,); before them -1 for those missing."""
        return self._past[self._now - HISTORY : self._now].copy()

    def forbids(self, token: int) -> bool:
        """Tell whether a guard forbids the token."""
        return any(guard.forbids(token) for guard in self.guards)

    def ends_before(self, token: int) -> bool:
        """Tell whether the text, complete as it is, ends rather than go on with the token."""
        return any(guard.complete and guard.forbids(token) for guard in self.guards)

    def take(self, token: int, nats: float) -> str:
        """Take the next token; give the text that is certain by now, all of it at the end."""
        self.tokens += 1
        self.nats += nats
        self._remember(token)
        finished = "end" if token == self._end else ""
        text = "" if finished else self._decoder.push_one(token)
        for guard in self.guards:
            guard.take(token, text)
            finished = finished or guard.finished
        if self._begun:
            text, self._begun = text[self._begun :], max(0, self._begun - len(text))
        self.characters += len(text)
        piece = self._stop.push(text)
        if self._stop.stopped:
            self.stopped_by = "stop"
        elif finished or self.tokens == self._most:
            self.stopped_by = finished or "length"
            piece += self._rest()
        self.text.append(piece)
        return piece

    def give_up(self) -> str:
        """End it for want of a token; give the text that was held back."""
        complete = [guard.reason for guard in self.guards if guard.complete]
        self.stopped_by = [*complete, self.guards[0].reason][0]
        self.text.append(self._rest())
        return self.text[-1]

    def sample(self) -> Sample:
        """Give what was written."""
        return Sample("".join(self.text), self.tokens, self.nats, self.stopped_by)

    def _remember(self, token: int) -> None:
        if self._now == len(self._past):
            self._past[:HISTORY] = self._past[HISTORY:]
            self._now = HISTORY
        self._past[self._now] = token
        self._now += 1

    def _rest(self) -> str:
        return self._stop.push(self._decoder.flush()) + self._stop.flush()
