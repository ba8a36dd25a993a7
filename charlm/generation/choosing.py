"""The choice of the next ids: each sample by its own options, noise and guards.

Legend: S samples, one in each row of a prediction, V vocabulary.
"""

from collections.abc import Sequence

import numpy as np

from charlm.generation.options import SamplingOptions
from charlm.generation.sampling import apply_rules
from charlm.generation.writing import Writing
from charlm.predict.predictor import DensePrediction, Prediction

FEW = 16  # ids of one place refused as they are drawn; then all are looked at
NOTHING = -1  # in place of an id where no id is left


class Chooser:
    """Chooses the next id of each of S writings."""

    def __init__(self, writings: Sequence[Writing]) -> None:
        self._writings = list(writings)
        rows: dict[SamplingOptions, list[int]] = {}
        for row, writing in enumerate(writings):
            rows.setdefault(writing.options, []).append(row)
        self._groups = [(options, np.array(own)) for options, own in rows.items()]
        self._rules = _Rules(self._writings, self._groups)
        self._guarded = [row for row, writing in enumerate(writings) if writing.guards]

    def choose(self, prediction: Prediction) -> np.ndarray:
        """Draw the next id of each, (S,); NOTHING where its guards leave none."""
        noise = np.array([writing.noise() for writing in self._writings])
        ids = prediction.draw(self._rules, noise)
        offenders = [row for row in self._guarded if self._writings[row].forbids(int(ids[row]))]
        if offenders:
            ids, logs = ids.copy(), prediction.log_probs()
            for row in offenders:
                ids[row] = _drawn_anew(self._writings[row], logs[row : row + 1], int(ids[row]))
        return ids


class _Rules:
    """The rules of several writings, each by its options: from log p (S, V) to what is drawn from.

    only: (temperature, top-k) where these alone are what all rules do, else None
    cuts: the same with top-p and min-p
    """

    def __init__(
        self, writings: Sequence[Writing], groups: Sequence[tuple[SamplingOptions, np.ndarray]]
    ) -> None:
        self._writings, self._groups = writings, groups
        self.only = groups[0][0].only if len(groups) == 1 else None
        self.cuts = groups[0][0].cuts if len(groups) == 1 else None

    def __call__(self, logs: np.ndarray) -> np.ndarray:
        """Apply to each row the rules of its options."""
        if len(self._groups) == 1:
            return _ruled(self._writings, self._groups[0][0], logs)
        result = np.empty_like(logs)
        for options, rows in self._groups:
            writings = [self._writings[row] for row in rows]
            result[rows] = _ruled(writings, options, logs[rows])
        return result


def _ruled(writings: Sequence[Writing], options: SamplingOptions, logs: np.ndarray) -> np.ndarray:
    """Apply the rules of options that all of S writings have to (S, V)."""
    history = written = None
    if options.looks_back:
        history = np.stack([writing.history() for writing in writings])
        written = np.array([writing.tokens for writing in writings])
    return apply_rules(logs, options, history, written)


def _drawn_anew(writing: Writing, logs: np.ndarray, token: int) -> int:
    """Draw an id in place of a forbidden one, by logs (1, V), as though the model did not have it.

    What is refused is drawn from no more, so of the ids that remain each is as probable as if all
    offenders had been left out at once; only top-k and top-p still count offenders that were not
    drawn. Where a text is complete, what would lead out of its language is not refused but ends it:
    to end has the share of all such ids, among these and those that remain. NOTHING ends it, too,
    where none remains.
    """

    def rules(logs: np.ndarray) -> np.ndarray:
        return _ruled([writing], writing.options, logs)

    def refuses(token: int) -> bool:
        return writing.forbids(token) and not writing.ends_before(token)

    left, refused = logs.copy(), 0
    while refuses(token):
        left[0, token], refused = -np.inf, refused + 1
        if refused == FEW:
            left[0, [refuses(other) for other in range(left.shape[1])]] = -np.inf
        if not np.isfinite(left).any():
            return NOTHING
        noise = np.array([writing.noise()])
        token = int(DensePrediction(left).draw(rules, noise)[0])
    return NOTHING if writing.forbids(token) else token
