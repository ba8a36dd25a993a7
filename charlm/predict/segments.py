"""One long stream scored as many short ones side by side, with the result of reading it in order.

A network reads many streams in hardly more time than one, but one stream has to be read id by id:
each state comes from the one before. So the stream is cut into segments, and where each begins is
guessed by reading a little of what stands before it. Then all are read together, and a segment
whose beginning was not the end of its neighbour is read again from there, until all fit. A row of
segments that fit is the stream read in order: each state follows from the one before. Networks
forget, so that two rounds are usual; in the worst case each round settles one segment more.

It is the fixed-point iteration of parallel-in-time methods (Lim et al. 2024, "Parallelizing
non-linear sequential models over the sequence length", arXiv 2309.12252), without their Newton
steps.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from charlm.predict.predictor import Predictor

State = TypeVar("State")

SEGMENTS = 64  # at most
LENGTH = 1024  # of a segment, at least
WARM_UP = 512  # ids read to guess where a segment begins
TOLERANCE = 1e-5  # between a segment's beginning and its neighbour's end

Distance = Callable[[State, State], np.ndarray]  # the largest difference of each stream, (S,)
Score = Callable[[np.ndarray, State], tuple[np.ndarray, State]]


def can_be_cut(ids: np.ndarray) -> bool:
    """Tell whether ids (S, N) are one stream, and long enough."""
    return len(ids) == 1 and ids.shape[1] >= 2 * LENGTH


def score_in_segments(
    predictor: Predictor,
    ids: np.ndarray,
    state: State,
    score: Score[State],
    distance: Distance[State],
) -> tuple[np.ndarray, State]:
    """Read ids (1, N) from the state of one stream; give -log p of each and the state after.

    score: reads ids (S, N) in order, as `Predictor.score` does
    """
    count = min(SEGMENTS, ids.shape[1] // LENGTH)
    length = ids.shape[1] // count
    rows = ids[0, : count * length].reshape(count, length)
    guesses = score(rows[:-1, -WARM_UP:], predictor.start(count - 1))[1]
    begins = predictor.stack([state, guesses])
    nats, ends = score(rows, begins)
    while True:
        befores = predictor.stack([state, predictor.select(ends, np.arange(count - 1))])
        wrong = np.flatnonzero(distance(befores, begins) > TOLERANCE)
        if len(wrong) == 0:
            break
        again = predictor.select(befores, wrong)
        nats[wrong], after = score(rows[wrong], again)
        place = np.arange(count)
        place[wrong] = count + np.arange(len(wrong))
        ends = predictor.select(predictor.stack([ends, after]), place)
        begins = predictor.select(predictor.stack([begins, again]), place)
    rest, after = score(ids[:, count * length :], predictor.select(ends, [count - 1]))
    return np.concatenate([nats.reshape(1, -1), rest], axis=1), after
