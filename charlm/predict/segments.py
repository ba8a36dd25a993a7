"""One long stream scored as many short ones side by side, with the result of reading it in order.

A network reads many streams in hardly more time than one, but one stream has to be read id by id:
each state comes from the one before. So the stream is cut into segments, and where each begins is
guessed by reading a little of what stands before it. Then all are read together, and a segment
whose beginning was not the end of its neighbour is read again from there, until all fit. A row of
segments that fit is the stream read in order: each state follows from the one before.

Networks forget, so that two rounds are usual. Each round settles one segment at least; where they
are many all the same, what does not fit yet is read in order.

It is the fixed-point iteration of parallel-in-time methods (Lim et al. 2024, "Parallelizing
non-linear sequential models over the sequence length", arXiv 2309.12252), without their Newton
steps.
"""

from typing import Protocol, TypeVar

import numpy as np

State = TypeVar("State")

SEGMENTS = 64  # at most,
FEWEST = 4  # and at least: with fewer nothing is gained
LENGTH = 1024  # of a segment, at least
WARM_UP = 512  # ids read to guess where a segment begins
TOLERANCE = 100.0  # roundings between a segment's beginning and its neighbour's end
ROUNDS = 8  # after which the rest is read in order


class InOrder(Protocol[State]):
    """A predictor that reads streams id by id, S at a time."""

    def start(self, streams: int) -> State:
        """As in `Predictor`."""

    def select(self, state: State, streams: np.ndarray) -> State:
        """As in `Predictor`."""

    def stack(self, states: list[State]) -> State:
        """As in `Predictor`."""

    def score_in_order(self, ids: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Read ids (S, N); give -log p of each, (S, N), and the state after."""

    def read_in_order(self, ids: np.ndarray, state: State) -> State:
        """Read ids (S, N); give the state after, and nothing else."""

    def roundings_apart(self, first: State, second: State) -> np.ndarray:
        """Give the largest difference of each stream's states, (S,), in roundings of their type."""


def can_be_cut(ids: np.ndarray) -> bool:
    """Tell whether ids (S, N) are one stream, and long enough."""
    return len(ids) == 1 and ids.shape[1] >= FEWEST * LENGTH


def score_in_segments(
    predictor: InOrder[State], ids: np.ndarray, state: State
) -> tuple[np.ndarray, State]:
    """Read ids (1, N) from the state of one stream; give -log p of each and the state after.

    Where the predictor gives more than a number for each id, (S, N, ...), so does this.
    """
    count = min(SEGMENTS, ids.shape[1] // LENGTH)
    length = ids.shape[1] // count
    rows = ids[0, : count * length].reshape(count, length)
    guesses = predictor.read_in_order(rows[:-1, -WARM_UP:], predictor.start(count - 1))
    begins = predictor.stack([state, guesses])
    nats, ends = predictor.score_in_order(rows, begins)
    for _ in range(ROUNDS):
        befores = predictor.stack([state, predictor.select(ends, np.arange(count - 1))])
        wrong = np.flatnonzero(predictor.roundings_apart(befores, begins) > TOLERANCE)
        if len(wrong) == 0:
            break
        again = predictor.select(befores, wrong)
        nats[wrong], after = predictor.score_in_order(rows[wrong], again)
        place = np.arange(count)
        place[wrong] = count + np.arange(len(wrong))
        ends = predictor.select(predictor.stack([ends, after]), place)
        begins = predictor.select(predictor.stack([begins, again]), place)
    else:  # all before the first that was wrong fit, and so does that one now
        count = int(wrong[0]) + 1
    settled = predictor.select(ends, np.array([count - 1]))
    rest, after = predictor.score_in_order(ids[:, count * length :], settled)
    whole = nats[:count].reshape(1, -1, *nats.shape[2:])
    return np.concatenate([whole, rest], axis=1), after
