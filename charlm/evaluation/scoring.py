"""Scoring a text with a Predictor: every token once, state carried through each document."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from charlm.evaluation.bootstrap import Stretches
from charlm.predict.predictor import State, lanes_of

CHUNK = 1 << 16  # ids handed to the predictor at a time,
FIRST_CHUNK = 1 << 13  # and at first, where there is a deadline to keep
LANES = 32  # short documents scored side by side
SHORT = 2048  # ids up to which a document counts as short
FOREVER = float("inf")


class Scorer(Protocol):
    """A Predictor, or several that read a text together."""

    def start(self, streams: int) -> State:
        """As in `Predictor`."""

    def score(self, ids: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """As in `Predictor`; of several predictors (S, N, P), in their order."""


@dataclass
class Score:
    """A sum of nats and the tokens it is over; with several predictors, the sums of each.

    nats is the sum of the last one.
    sizes: (V,) units of each id, such as bytes, where sums over stretches of the text are wanted
    """

    nats: float = 0.0
    tokens: int = 0
    each: list[float] = field(default_factory=list)
    sizes: np.ndarray | None = None
    stretches: Stretches = field(default_factory=Stretches)

    def add(self, nats: np.ndarray, ids: np.ndarray) -> None:
        """Add the nats of some tokens, in float64; the first axes are those of ids."""
        if not ids.size:
            return
        flat = nats.reshape(ids.size, -1).astype(np.float64)
        sums = flat.sum(axis=0).tolist()
        before = self.each or [0.0] * len(sums)
        self.each = [old + new for old, new in zip(before, sums, strict=True)]
        self.nats = self.each[-1]
        if self.sizes is not None:
            self.stretches.add(self.sizes[ids.reshape(-1)], flat)
        self.tokens += ids.size


@dataclass
class PartialScore(Score):
    """A score that may have been cut short, and what it is of."""

    scored: list[np.ndarray] = field(default_factory=list)
    complete: bool = True


def score_stream(
    predictor: Scorer, chunks: Iterable[np.ndarray], score: Score | None = None
) -> Score:
    """Score one document that comes in chunks of ids, as one stream from the start.

    A `score` that is given goes on, over one document more.
    """
    score, state = score or Score(), predictor.start(1)
    for chunk in chunks:
        for begin in range(0, len(chunk), CHUNK):
            part = chunk[None, begin : begin + CHUNK]
            nats, state = predictor.score(part, state)
            score.add(nats, part)
    return score


def score_documents(
    predictor: Scorer,
    documents: Iterable[np.ndarray],
    seconds: float = FOREVER,
    sizes: np.ndarray | None = None,
) -> PartialScore:
    """Score documents, each from the start; short ones side by side, in lanes of padded ids.

    After `seconds` the rest is left out: the score is `complete` or not, and says what of.
    """
    deadline = time.monotonic() + seconds
    total, waiting = PartialScore(sizes=sizes), list[np.ndarray]()
    for document in documents:
        if time.monotonic() > deadline:
            total.complete = False
            return total
        if len(document) > SHORT:
            _score_long(predictor, document, total, deadline)
        elif len(document):
            waiting.append(document)
        if len(waiting) == LANES * 16:
            _score_lanes(predictor, waiting, total)
            waiting = []
    _score_lanes(predictor, waiting, total)
    return total


def _score_long(
    predictor: Scorer, document: np.ndarray, total: PartialScore, deadline: float
) -> None:
    """Score one document in chunks, until the deadline; larger ones where there is time."""
    state, begin = predictor.start(1), 0
    size = CHUNK if deadline == FOREVER else min(CHUNK, FIRST_CHUNK)
    while begin < len(document):
        began = time.monotonic()
        if began > deadline:
            total.complete = False
            return
        chunk = document[begin : begin + size]
        nats, state = predictor.score(chunk[None], state)
        total.add(nats, chunk[None])
        total.scored.append(chunk)
        begin += size
        now = time.monotonic()
        if 2 * (now - began) < deadline - now:
            size = min(CHUNK, 2 * size)
        elif size > FIRST_CHUNK:
            size //= 2


def _score_lanes(predictor: Scorer, documents: list[np.ndarray], total: PartialScore) -> None:
    """Score short documents, in lanes of like length; they are added in the order of the text.

    Neighbours are surprising together, and intervals must see that.
    """
    order = sorted(range(len(documents)), key=lambda number: len(documents[number]))
    width, found = int(min(LANES, lanes_of(predictor))), dict[int, np.ndarray]()
    for begin in range(0, len(order), width):
        lanes = order[begin : begin + width]
        ids, real = side_by_side([documents[number] for number in lanes])
        nats, _ = predictor.score(ids, predictor.start(len(lanes)))
        found |= {n: own[here] for n, own, here in zip(lanes, nats, real, strict=True)}
    if documents:
        nats = np.concatenate([found[number] for number in range(len(documents))])
        total.add(nats, np.concatenate(documents))
    total.scored.extend(documents)


def side_by_side(texts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Pad texts of ids to one length: ids (S, N), and where they are real, (S, N)."""
    lengths = np.array([len(ids) for ids in texts])
    padded = np.zeros((len(texts), int(lengths.max())), dtype=np.int64)
    for row, ids in zip(padded, texts, strict=True):
        row[: len(ids)] = ids
    return padded, np.arange(padded.shape[1]) < lengths[:, None]
