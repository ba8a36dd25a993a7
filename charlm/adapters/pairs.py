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
    for some in pieces(groups, streams):
        state = read_texts(predictor, [pairs[numbers[0]][0] for numbers in some])
        members = [(row, number) for row, numbers in enumerate(some) for number in numbers]
        for part in pieces(members, streams):
            rows, own = [row for row, _ in part], [number for _, number in part]
            ends = [pairs[number][1] for number in own]
            scores = _follow(predictor, ends, predictor.select(state, rows))
            found |= dict(zip(own, scores, strict=True))
    return [found[number] for number in range(len(pairs))]


def read_texts(predictor: Predictor, texts: Sequence[Ids]) -> State:
    """Read texts of ids from the start, side by side; give the state of all, (S,), in order."""
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    state, at, done = predictor.start(len(texts)), 0, list[State]()
    for first, number in enumerate(order):
        length = len(texts[number])
        if length > at:
            part = np.stack([texts[other][at:length] for other in order[first:]])
            _, state = predictor.score(part, state)
            at = length
        done.append(predictor.select(state, [0]))
        if first + 1 < len(texts):
            state = predictor.select(state, range(1, len(texts) - first))
    return predictor.stack([done[place] for place in np.argsort(order)])


def _follow(predictor: Predictor, texts: Sequence[Ids], state: State) -> list[tuple[float, bool]]:
    """Read texts on from the states of their streams; give log p of each, and whether greedy."""
    nats, greedy = np.zeros(len(texts)), np.ones(len(texts), dtype=bool)
    active = [number for number, ids in enumerate(texts) if len(ids)]
    if active:
        state = predictor.select(state, active)
        prediction = predictor.prediction(state)
    at = 0
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


def pieces(things: Sequence[Thing], size: int) -> Iterator[Sequence[Thing]]:
    """Cut a sequence into parts of a size; the last may be smaller."""
    for start in range(0, len(things), size):
        yield things[start : start + size]
