"""Writing on: one token at a time, in constant memory, one or many samples side by side.

S streams (one for each sample that is still being written), V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from charlm.errors import UsageError
from charlm.generation.copies import CopyGuard
from charlm.generation.options import SamplingOptions
from charlm.generation.sampling import apply_rules
from charlm.generation.stopping import StopFilter
from charlm.generation.text_index import TextIndex
from charlm.predict.predictor import Prediction, Predictor, State
from charlm.text.tokenizers import Tokenizer

HISTORY = 256  # ids that the repetition penalty looks back on
FEW = 16  # ids of one place refused as they are drawn; then all are looked at


@dataclass(frozen=True)
class Sample:
    """One text written by a model; `nats` is -log p of its tokens under the model itself.

    stopped_by: "length", "stop" (a stop string), "end" (the model ended the text) or "copy" (every
                token that the model could write would have copied more than `max_copy` allows)
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
        self.guard: CopyGuard | None = None
        if generator.index is not None and generator.options.max_copy is not None:
            self.guard = CopyGuard(generator.index, generator.options.max_copy, self.decoder)
        self.text: list[str] = []
        self.tokens = 0
        self.nats = 0.0
        self.stopped_by = ""

    def take(self, token: int, nats: float, end: bool) -> str:
        """Take the next token; give the text that is certain by now."""
        self.tokens += 1
        self.nats += nats
        self.history = np.append(self.history[1:], token)
        text = "" if end else self.decoder.push([token])
        if self.guard is not None:
            self.guard.take(text)
        piece = self.stop.push(text)
        if self.stop.stopped:
            self.stopped_by = "stop"
        elif end:
            self.stopped_by = "end"
        return self._keep(piece)

    def forbids(self, token: int) -> bool:
        """Tell whether the token would copy more than is allowed."""
        return self.guard is not None and not self.stopped_by and self.guard.forbids(token)

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

    index: that of the training text, which `options.max_copy` needs
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
        index: TextIndex | None = None,
    ) -> None:
        if max_tokens < 0:
            raise UsageError(f"--max-tokens must be 0 or more, not {max_tokens}")
        if seed is not None and seed < 0:
            raise UsageError(f"--seed must be 0 or more, not {seed}")
        if any(stop == "" for stop in stops):
            raise UsageError("a stop string cannot be empty")
        self.predictor = predictor
        self.tokenizer = tokenizer
        assert options.max_copy is None or index is not None
        self.options = options
        self.index = index
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
                if writing.stopped_by:  # for want of a token
                    continue
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
        if self.options.max_copy is not None:
            ids = self._without_copies(prediction, active, history, ids)
        return ids, -prediction.of(ids)

    def _without_copies(
        self,
        prediction: Prediction,
        active: list[_Writing],
        history: np.ndarray,
        ids: np.ndarray,
    ) -> np.ndarray:
        """Draw anew where an id would copy too much, as though the model did not have that one.

        What is refused is drawn from no more, so of the ids that remain each is as probable as if
        all offenders had been left out at once; only top-k and top-p still count offenders that
        were not drawn. A sample with no id left is stopped by "copy".
        """
        rows = [row for row in range(len(active)) if active[row].forbids(int(ids[row]))]
        if not rows:
            return ids
        ids, refusals = ids.copy(), _Refusals(len(active), self.predictor.vocab_size)
        while rows:
            noise = np.zeros(len(active))
            for row in rows:
                refusals.add(row, int(ids[row]), active[row])
                noise[row] = active[row].random.random()
            drawn = prediction.draw(
                lambda logs: apply_rules(refusals.applied(logs), self.options, history), noise
            )
            ids[rows] = drawn[rows]
            for row in refusals.without_choice.intersection(rows):
                active[row].stopped_by = "copy"
            rows = [row for row in rows if active[row].forbids(int(ids[row]))]
        return ids


class _Refusals:
    """The ids that must not be drawn in each stream."""

    def __init__(self, streams: int, vocab_size: int) -> None:
        self.without_choice: set[int] = set()
        self._refused = np.zeros((streams, vocab_size), dtype=bool)

    def add(self, row: int, token: int, writing: _Writing) -> None:
        """Refuse one id; of many, at once, all that are to be refused here."""
        refused = self._refused[row]
        refused[token] = True
        if refused.sum() == FEW:
            refused[:] = [writing.forbids(other) for other in range(len(refused))]

    def applied(self, log_probs: np.ndarray) -> np.ndarray:
        """Make the refused ids impossible; note the streams that have no other, and leave those."""
        left = np.where(self._refused, np.array(-np.inf, dtype=log_probs.dtype), log_probs)
        stuck = np.flatnonzero(~np.isfinite(left).any(axis=1))
        self.without_choice.update(stuck.tolist())
        left[stuck] = log_probs[stuck]
        return left
