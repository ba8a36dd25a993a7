"""Many samples written side by side, a step of all of them at a time.

They need not begin together: one is admitted between two steps, and leaves when it is complete or
nobody wants it any more. What a sample becomes depends on itself alone: its noise is its own, and
so are the rows of state and prediction it stands in.
Legend: S writings, one in each stream of the state, V vocabulary.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from charlm.generation.choosing import NOTHING, Chooser
from charlm.generation.writing import Writing
from charlm.predict.predictor import Prediction, Predictor, State


class Written(NamedTuple):
    """What a step added to one sample; it is complete where `writing.stopped_by` says by what.

    token: None where the guards left none
    nats:  -log p of it under the model itself
    start: the characters of the sample decoded before it
    end:   and with it
    piece: the text that is certain by it
    top:   the most probable ids in its place and their log p, (K,) for K `alternatives`
    """

    writing: Writing
    token: int | None
    nats: float
    start: int
    end: int
    piece: str
    top: tuple[np.ndarray, np.ndarray] | None


class WritingBatch:
    """The writings that are going on, and the state of each."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._writings: list[Writing] = []
        self._chooser = Chooser([])
        self._state: State = None
        self._ids = np.zeros(0, dtype=np.int64)  # of each the last, which is not read yet
        self._newcomers: list[tuple[list[Writing], State]] = []  # who have not drawn yet

    def __len__(self) -> int:
        """Count the writings that are going on."""
        return len(self._writings) + sum(len(writings) for writings, _ in self._newcomers)

    def admit(self, writings: Sequence[Writing], state: State) -> None:
        """Let writings join, each with its stream of a state that has read its prompt."""
        rows = [row for row, writing in enumerate(writings) if not writing.stopped_by]
        if rows:
            state = state if len(rows) == len(writings) else self._predictor.select(state, rows)
            self._newcomers.append(([writings[row] for row in rows], state))

    def remove(self, writings: Collection[Writing]) -> None:
        """Let writings go that nobody waits for any more: from now on no step is for them."""
        self._keep([row for row, each in enumerate(self._writings) if each not in writings])
        newcomers, self._newcomers = self._newcomers, []
        for group, state in newcomers:
            rows = [row for row, each in enumerate(group) if each not in writings]
            if rows:
                own = self._predictor.select(state, rows)
                self._newcomers.append(([group[row] for row in rows], own))

    def step(self) -> list[Written]:
        """Write one more token in each; give what was written."""
        groups: list[tuple[list[Writing], Chooser, Prediction, State]] = []
        if self._writings:
            prediction, state = self._predictor.step(self._ids, self._state)
            groups.append((self._writings, self._chooser, prediction, state))
        if self._newcomers:
            writings = [writing for group, _ in self._newcomers for writing in group]
            states = [state for _, state in self._newcomers]
            state = states[0] if len(states) == 1 else self._predictor.stack(states)
            prediction = self._predictor.prediction(state)
            groups.append((writings, Chooser(writings), prediction, state))
        drawn, written = [], list[Written]()
        for writings, chooser, prediction, _ in groups:
            drawn.append(chooser.choose(prediction))
            written += _taken(writings, drawn[-1], prediction)
        if len(groups) == 1:
            self._writings, self._chooser, _, self._state = groups[0]
            self._ids = drawn[0]
        elif groups:
            self._writings = [writing for group, *_ in groups for writing in group]
            self._chooser = Chooser(self._writings)
            self._state = self._predictor.stack([state for *_, state in groups])
            self._ids = np.concatenate(drawn)
        self._newcomers = []
        self._keep([row for row, each in enumerate(self._writings) if not each.stopped_by])
        return written

    def _keep(self, rows: list[int]) -> None:
        """Go on with some of those that have drawn."""
        if len(rows) == len(self._writings):
            return
        self._writings = [self._writings[row] for row in rows]
        self._chooser, self._ids = Chooser(self._writings), self._ids[rows]
        self._state = self._predictor.select(self._state, rows) if rows else None


def _taken(
    writings: Sequence[Writing], ids: np.ndarray, prediction: Prediction
) -> Iterator[Written]:
    """Give each writing its id."""
    nats = -prediction.of(np.maximum(ids, 0))
    most = max(writing.alternatives for writing in writings)
    best = prediction.top(most) if most else None
    tokens, costs = ids.tolist(), nats.tolist()  # at once: one by one takes many times as long
    for row, (writing, token, cost) in enumerate(zip(writings, tokens, costs, strict=True)):
        start = writing.characters
        if token == NOTHING:
            yield Written(writing, None, 0.0, start, start, writing.give_up(), None)
            continue
        wanted, top = writing.alternatives, None
        if best is not None and wanted:
            top = best[0][row, :wanted], best[1][row, :wanted]
        piece = writing.take(token, cost)
        yield Written(writing, token, cost, start, writing.characters, piece, top)
