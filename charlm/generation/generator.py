"""Writing on: one token at a time, in constant memory, one or many samples side by side.

S streams (one for each sample that is still being written), V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from charlm.errors import UsageError
from charlm.generation.options import SamplingOptions
from charlm.generation.sampling import apply_rules
from charlm.generation.stopping import StopFilter
from charlm.predict.predictor import Prediction, Predictor, State
from charlm.text.tokenizers import Tokenizer

HISTORY = 256  # ids that the repetition penalty looks back on


@dataclass(frozen=True)
class Sample:
    """One text written by a model; `nats` is -log p of its tokens under the model itself.

    stopped_by: "length", "stop" (a stop string) or "end" (the model ended the text)
    """

    text: str
    tokens: int
    nats: float
    stopped_by: str

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        return asdict(self)


class _Writing:
    """One sample while it is being written."""

    def __init__(self, generator: "Generator", number: int) -> None:
        self.number = number
        self.random = np.random.default_rng([generator.seed, number])
        self.decoder = generator.tokenizer.decoder()
        self.decoder.push(generator.prompt_ids[-8:].tolist())
        self.stop = StopFilter(generator.stops)
        self.history = np.full(HISTORY, -1, dtype=np.int64)
        self.text: list[str] = []
        self.tokens = 0
        self.nats = 0.0
        self.stopped_by = ""

    def take(self, token: int, nats: float, end: bool) -> str:
        """Take the next token; give the text that is certain by now."""
        self.tokens += 1
        self.nats += nats
        self.history = np.append(self.history[1:], token)
        piece = self.stop.push("" if end else self.decoder.push([token]))
        if self.stop.stopped:
            self.stopped_by = "stop"
        elif end:
            self.stopped_by = "end"
        return self._keep(piece)

    def finish(self) -> str:
        """Give what was held back until the end."""
        if self.stop.stopped:
            return ""
        self.stopped_by = self.stopped_by or "length"
        return self._keep(self.stop.push(self.decoder.flush()) + self.stop.flush())

    def sample(self) -> Sample:
        """Give what was written."""
        return Sample("".join(self.text), self.tokens, self.nats, self.stopped_by)

    def _keep(self, piece: str) -> str:
        self.text.append(piece)
        return piece


class Generator:
    """Continues a prompt with any Predictor.

    Sample i is the same whatever the number of samples: its noise comes from (seed, i) alone.
    Without a seed every run is another. Raises UsageError for numbers that make no sense.
    """

    def __init__(
        self,
        predictor: Predictor,
        tokenizer: Tokenizer,
        prompt: str,
        options: SamplingOptions,
        *,
        max_tokens: int = 200,
        stops: Sequence[str] = (),
        seed: int | None = None,
        count: int = 1,
    ) -> None:
        if max_tokens < 0:
            raise UsageError(f"--max-tokens must be 0 or more, not {max_tokens}")
        if seed is not None and seed < 0:
            raise UsageError(f"--seed must be 0 or more, not {seed}")
        if any(stop == "" for stop in stops):
            raise UsageError("a stop string cannot be empty")
        self.predictor = predictor
        self.tokenizer = tokenizer
        self.options = options
        self.max_tokens = max_tokens
        self.stops = list(stops)
        self.seed = seed if seed is not None else int(np.random.SeedSequence().generate_state(1)[0])
        self.prompt_ids = tokenizer.encode(prompt)
        self._writings = [_Writing(self, number) for number in range(count)]

    def pieces(self) -> Iterator[tuple[int, str]]:
        """Write; give (number of the sample, next piece of its text) as they come."""
        state, active = self._read_prompt(), list(self._writings)
        prediction = self.predictor.prediction(state)
        for _ in range(self.max_tokens):
            ids, nats = self._choose(prediction, active)
            for writing, token, cost in zip(active, ids.tolist(), nats.tolist(), strict=True):
                end = token == self.tokenizer.boundary_id and not self.tokenizer.closed
                yield writing.number, writing.take(token, cost, end)
            going_on = [i for i, writing in enumerate(active) if not writing.stopped_by]
            if not going_on:
                break
            if len(going_on) < len(active):
                state, ids = self.predictor.select(state, going_on), ids[going_on]
                active = [active[i] for i in going_on]
            prediction, state = self.predictor.step(ids, state)
        for writing in self._writings:
            yield writing.number, writing.finish()

    def samples(self) -> list[Sample]:
        """Write everything; give the finished samples."""
        for _ in self.pieces():
            pass
        return [writing.sample() for writing in self._writings]

    def _read_prompt(self) -> State:
        state = self.predictor.start(1)
        if len(self.prompt_ids):
            _, state = self.predictor.score(self.prompt_ids[None, :], state)
        return self.predictor.select(state, [0] * len(self._writings))

    def _choose(
        self, prediction: Prediction, active: list[_Writing]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw the next id of each stream; give them with their nats, both (S,)."""
        history = np.stack([writing.history for writing in active])
        noise = np.array([writing.random.random() for writing in active])
        ids = prediction.draw(lambda logs: apply_rules(logs, self.options, history), noise)
        return ids, -prediction.of(ids)
