"""Beam search: the most probable continuations, found side by side, without chance.

    score = log p(w_1 ... w_n | prompt) / n ** length_penalty

Of all ways to go on from B texts by a token the B best go on; those that end compete by the score
above (Sutskever et al. 2014, section 3.2; the penalty as Hugging Face has it). The search ends when
B texts have ended and none that goes on can still be better, or at `max_tokens`.
One beam is no search of this kind: who asks for one takes the most probable token each time.
B beams, one in each stream, V vocabulary.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from charlm.generation.constraints import LanguageGuard
from charlm.generation.languages import Language
from charlm.generation.options import BeamOptions
from charlm.generation.writing import Sample
from charlm.predict.predictor import Prediction, Predictor, State
from charlm.text.tokenizers import Decoder, Tokenizer

PROMPT_END = 8  # ids of the prompt that a character may have begun in
FURTHER = 8  # times as many of the most probable ids are asked for where some were too few


@dataclass(frozen=True)
class _Beam:
    """A text so far: its ids, its log p, and, once it has ended, by what and with which text."""

    ids: tuple[int, ...]
    log_prob: float
    stopped_by: str = ""
    text: str = ""


@dataclass
class BeamSearch:
    """Searches with any Predictor that can read several streams.

    language: that texts must be of; None for any
    """

    predictor: Predictor
    tokenizer: Tokenizer
    options: BeamOptions
    max_tokens: int
    stops: Sequence[str] = ()
    language: Language | None = None
    _prompt: list[int] = field(default_factory=list)

    def run(self, prompt_ids: np.ndarray, state: State, count: int) -> list[Sample]:
        """Go on from a state of one stream that has read the prompt; give the `count` best."""
        self._prompt = [int(token) for token in prompt_ids[-PROMPT_END:]]
        width, alive, ended = self.options.beams, [_Beam((), 0.0)], list[_Beam]()
        prediction = self.predictor.prediction(state)
        for _ in range(self.max_tokens):
            going: list[tuple[int, _Beam]] = []
            for row, beam in self._best_steps(prediction, alive):
                if beam.stopped_by:
                    ended.append(beam)
                elif len(going) < width:
                    going.append((row, beam))
            ended = self._best(ended)[:width]
            if not going or self._settled(ended, [beam for _, beam in going]):
                alive = [beam for _, beam in going]
                break
            state = self.predictor.select(state, [row for row, _ in going])
            alive = [beam for _, beam in going]
            last = np.array([beam.ids[-1] for beam in alive])
            prediction, state = self.predictor.step(last, state)
        cut = [_Beam(b.ids, b.log_prob, "length", self._decoded(b.ids)[1]) for b in alive]
        best = self._best([*ended, *cut])[:count]
        return [Sample(b.text, len(b.ids), -b.log_prob, b.stopped_by) for b in best]

    def _best(self, beams: list[_Beam]) -> list[_Beam]:
        """Give beams, best first; of several with one text, which tokens spell in ways, one."""
        found: dict[str, _Beam] = {}
        for beam in sorted(beams, key=self._score, reverse=True):
            found.setdefault(beam.text, beam)
        return list(found.values())

    def _score(self, beam: _Beam) -> float:
        return float(beam.log_prob / max(len(beam.ids), 1) ** self.options.length_penalty)

    def _settled(self, ended: list[_Beam], alive: list[_Beam]) -> bool:
        """Tell whether no beam that goes on can be better than the worst that is kept."""
        if len(ended) < self.options.beams:
            return False
        longest = self.max_tokens if self.options.length_penalty > 0 else len(alive[0].ids)
        most = max(beam.log_prob for beam in alive) / longest**self.options.length_penalty
        return bool(most <= self._score(ended[-1]))

    def _best_steps(self, prediction: Prediction, alive: list[_Beam]) -> list[tuple[int, _Beam]]:
        """Give the best texts that are a token longer or end here, best first, with their rows."""
        found: list[tuple[int, _Beam]] = []
        ranking = _Ranking(prediction, self.options.beams + 1, self.predictor.vocab_size)
        for row, beam in enumerate(alive):
            found += [(row, one) for one in self._longer(beam, ranking.of(row))]
        return sorted(found, key=lambda each: -each[1].log_prob)

    def _longer(self, beam: _Beam, ranked: Iterable[tuple[int, float]]) -> list[_Beam]:
        """Give a beam with each of the tokens that may follow, of those ranked by their log p.

        Of those that go on there are no more than beams, and none that end behind the last.
        """
        found, left, going = list[_Beam](), 0.0, 0
        decoder, text = self._decoded(beam.ids)
        guard = None
        if self.language is not None:
            boundary = None if self.tokenizer.closed else self.tokenizer.boundary_id
            guard = LanguageGuard(self.language, boundary, decoder, text)
        complete = guard is not None and guard.complete
        for token, cost in ranked:
            if not math.isfinite(cost):
                break
            if guard is not None and guard.forbids(token):
                left += math.exp(cost)
            elif going < self.options.beams:
                found.append(self._with(beam, text, decoder, token, cost))
                going += not found[-1].stopped_by
            if going == self.options.beams and not complete:
                break
        if complete and left > 0:  # to end is as probable as all that would lead out of it
            found.append(_Beam(beam.ids, beam.log_prob + math.log(left), "match", text))
        return found

    def _with(self, beam: _Beam, text: str, decoder: Decoder, token: int, cost: float) -> _Beam:
        """Give a beam with a token more."""
        ids, log_prob = (*beam.ids, token), beam.log_prob + cost
        if token == self.tokenizer.boundary_id and not self.tokenizer.closed:
            return _Beam(ids, log_prob, "end", text)
        longer = text + decoder.peek([token])
        places = [longer.find(stop) for stop in self.stops if stop in longer]
        if places:
            return _Beam(ids, log_prob, "stop", longer[: min(places)])
        return _Beam(ids, log_prob)

    def _decoded(self, ids: Sequence[int]) -> tuple[Decoder, str]:
        """Give the text of ids, and the decoder; half a character at the end is none yet."""
        decoder = self.tokenizer.decoder()
        decoder.push(self._prompt)
        return decoder, decoder.push(ids)


class _Ranking:
    """The ids of each stream by falling log p, asked for as far as somebody looks.

    All of them may be forbidden, or end a text; seldom are many.
    """

    def __init__(self, prediction: Prediction, count: int, size: int) -> None:
        self._prediction, self._size = prediction, size
        self._ids, self._logs = prediction.top(count)

    def of(self, row: int) -> Iterator[tuple[int, float]]:
        """Give each id of a stream, and its log p."""
        ids = self._ids[row].tolist()
        yield from zip(ids, self._logs[row].tolist(), strict=True)
        told = set(ids)
        while len(told) < self._size:
            if len(told) == self._ids.shape[1]:
                self._ids, self._logs = self._prediction.top(FURTHER * len(told))
            for token, log in zip(self._ids[row].tolist(), self._logs[row].tolist(), strict=True):
                if token not in told:  # among equals the order may be another
                    told.add(token)
                    yield token, log
