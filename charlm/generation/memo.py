"""What was predicted after spellings, kept: while a word is typed, each letter opens the same ones.

S streams, V vocabulary.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from charlm.generation.branches import Branches
from charlm.predict.mixed import probs_of
from charlm.predict.predictor import Predictor, State

MOST_NUMBERS = 1 << 22  # probabilities that a memo holds before it should be left


class Memo:
    """What was predicted after spellings that go on from one state, by their tokens.

    A spelling is known by its number; `open` gives that of one which is a token longer.

    root:     the number of no spelling at all
    branches: where spellings go on, by number, as far as that was worked out
    """

    def __init__(self, predictor: Predictor, state: State) -> None:
        self._predictor = predictor
        self._states: list[State] = [state]  # a batch for each step
        self._places = [(0, 0)]  # of each spelling: batch, row
        probs = probs_of(predictor.prediction(state))
        self._shares: list[np.ndarray] = [probs[0].astype(np.float64)]
        self._numbers: dict[tuple[int, int], int] = {}
        self.root = 0
        self.branches: dict[int, Branches] = {}

    @property
    def most(self) -> int:
        """Give how many spellings one search may open: half of what a memo holds."""
        return max(1, MOST_NUMBERS // len(self._shares[0]) // 2)

    @property
    def full(self) -> bool:
        """Tell whether it is time to begin another."""
        return len(self._shares) > self.most

    def follow(self, tokens: Sequence[int]) -> bool:
        """Begin further on from now, after tokens that were read; tell if all of them were opened.

        Only white space may be followed: where a spelling goes on does not hang on it.
        """
        count, number = self._walk(tokens)
        if count < len(tokens):
            return False
        self.root = number
        return True

    def state_after(self, tokens: Sequence[int]) -> tuple[int, State]:
        """Give how many of some tokens were opened, one after the other, and the state there."""
        count, number = self._walk(tokens)
        batch, row = self._places[number]
        return count, self._predictor.select(self._states[batch], [row])

    def _walk(self, tokens: Sequence[int]) -> tuple[int, int]:
        """Give how many of some tokens were opened, one after the other, and the last's number."""
        number = self.root
        for count, token in enumerate(tokens):
            if (longer := self._numbers.get((number, token))) is None:
                return count, number
            number = longer
        return len(tokens), number

    def shares(self, number: int) -> np.ndarray:
        """Give p of every id after a spelling, (V,) float64."""
        return self._shares[number]

    def open(self, spellings: Sequence[tuple[int, int]]) -> list[int]:
        """Predict after spellings, each another's number and a token; give their numbers."""
        new = [spelling for spelling in spellings if spelling not in self._numbers]
        if new:
            new.sort(key=lambda spelling: self._places[spelling[0]][0])
            prediction, state = self._predictor.step(
                np.array([token for _, token in new]), self._gathered([one for one, _ in new])
            )
            shares = probs_of(prediction).astype(np.float64)
            for row, spelling in enumerate(new):
                self._numbers[spelling] = len(self._shares)
                self._places.append((len(self._states), row))
                self._shares.append(shares[row])
            self._states.append(state)
        return [self._numbers[spelling] for spelling in spellings]

    def _gathered(self, numbers: list[int]) -> State:
        """Put the states of spellings, which are in the order of their batches, side by side."""
        own, groups = self._predictor, []
        places = [self._places[number] for number in numbers]
        for batch, group in itertools.groupby(places, lambda place: place[0]):
            groups.append(own.select(self._states[batch], [row for _, row in group]))
        return groups[0] if len(groups) == 1 else own.stack(groups)
