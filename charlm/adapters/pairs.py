"""Scoring continuations after contexts, side by side: what tests of a language model ask for.

A context that several continuations share is read once, and their streams go on from its state.
Legend: S streams.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from charlm.predict.predictor import Predictor, State, lanes_of

Ids = np.ndarray
Thing = TypeVar("Thing")


def score_pairs(
    predictor: Predictor, pairs: Sequence[tuple[Ids, Ids]], streams: int
) -> list[tuple[float, bool]]:
    """Score each continuation (context, continuation), both of ids, each context from the start.

    Gives log p of the continuation in nats, and whether each of its ids is the most probable one
    where it stands, so that greedy writing would have written it. At most `streams` are read at a
    time.
    """
    streams = int(min(streams, lanes_of(predictor)))
    asking: dict[bytes, list[int]] = {}  # of each context, the numbers of its pairs
    for number, (context, _) in enumerate(pairs):
        asking.setdefault(np.asarray(context, dtype=np.int64).tobytes(), []).append(number)
    groups = sorted(asking.values(), key=lambda numbers: len(pairs[numbers[0]][0]))
    found: dict[int, tuple[float, bool]] = {}
    for some in _pieces(groups, streams):
        state = _read(predictor, [pairs[numbers[0]][0] for numbers in some])
        members = [(row, number) for row, numbers in enumerate(some) for number in numbers]
        for part in _pieces(members, streams):
            rows, own = [row for row, _ in part], [number for _, number in part]
            ends = [pairs[number][1] for number in own]
            scores = _follow(predictor, ends, predictor.select(state, rows))
            found |= dict(zip(own, scores, strict=True))
    return [found[number] for number in range(len(pairs))]


def _read(predictor: Predictor, texts: Sequence[Ids]) -> State:
    """Read texts of rising length from the start, side by side; give the state of all, (S,)."""
    state, at, done = predictor.start(len(texts)), 0, list[State]()
    while True:
        first = len(done)
        length = len(texts[first])
        if length > at:
            part = np.stack([ids[at:length] for ids in texts[first:]])
            _, state = predictor.score(part, state)
            at = length
        done.append(predictor.select(state, [0]))
        if len(done) == len(texts):
            return predictor.stack(done)
        state = predictor.select(state, range(1, len(texts) - first))


def _follow(predictor: Predictor, texts: Sequence[Ids], state: State) -> list[tuple[float, bool]]:
    """Read texts on from the states of their streams; give log p of each, and whether greedy."""
    nats, greedy = np.zeros(len(texts)), np.ones(len(texts), dtype=bool)
    active = [number for number, ids in enumerate(texts) if len(ids)]
    state, at = predictor.select(state, active), 0
    prediction = predictor.prediction(state)
    while active:
        ids = np.array([texts[number][at] for number in active], dtype=np.int64)
        nats[active] += prediction.of(ids)
        greedy[active] &= prediction.top(1)[0][:, 0] == ids
        at += 1
        rows = [row for row, number in enumerate(active) if len(texts[number]) > at]
        active = [active[row] for row in rows]
        if active:
            prediction, state = predictor.step(ids[rows], predictor.select(state, rows))
    return list(zip(nats.tolist(), greedy.tolist(), strict=True))


def _pieces(things: Sequence[Thing], size: int) -> Iterator[Sequence[Thing]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]
