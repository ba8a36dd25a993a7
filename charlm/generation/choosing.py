"""The choice of the next ids: each sample by its own options, noise and guards.

Legend: S samples, one in each row of a prediction, V vocabulary.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from charlm.generation.options import SamplingOptions
from charlm.generation.penalties import Slots, changes_of, forbidden, together
from charlm.generation.sampling import apply_rules, rewritten
from charlm.generation.writing import Writing
from charlm.predict.changes import Change, Cuts, Description
from charlm.predict.predictor import Prediction, rows_of

FEW = 16  # ids of one place refused as they are drawn; then all are looked at
NOTHING = -1  # in place of an id where no id is left


class Chooser:
    """Chooses the next id of each of S writings."""

    def __init__(self, writings: Sequence[Writing]) -> None:
        # of equal options one stands for all: to compare them takes long where they name many words
        alike: dict[SamplingOptions, SamplingOptions] = {}
        each = [
            (writing, alike.setdefault(writing.options, writing.options)) for writing in writings
        ]
        self._each, self._rules = each, _Rules(each)
        self._guarded = [row for row, writing in enumerate(writings) if writing.guards]

    def choose(self, prediction: Prediction) -> np.ndarray:
        """Draw the next id of each, (S,); NOTHING where its guards leave none."""
        noise = np.array([writing.noise() for writing, _ in self._each])
        ids = prediction.draw(self._rules, noise)
        offenders = [row for row in self._guarded if self._each[row][0].forbids(int(ids[row]))]
        if offenders:
            ids, own = ids.copy(), [self._each[row] for row in offenders]
            ids[offenders] = _drawn_anew(own, rows_of(prediction, offenders), ids[offenders])
        return ids


class _Rules:
    """The rules of several writings, each by its options: from log p (S, V) to what is drawn from.

    each: the writings with their options; the same options are the same object
    only: (temperature, top-k) where these alone are what all rules do, else None
    """

    def __init__(self, each: Sequence[tuple[Writing, SamplingOptions]]) -> None:
        self._each = each
        rows: dict[int, list[int]] = {}
        for row, (_, options) in enumerate(each):
            rows.setdefault(id(options), []).append(row)
        self._groups = [(each[own[0]][1], np.array(own)) for own in rows.values()]
        self._refused: list[Change] = []
        self.only = self._groups[0][0].only if len(self._groups) == 1 else None

    def refuse(self, refused: Sequence[list[int]]) -> None:
        """Let some ids of each be drawn from no more, whatever its options say."""
        self._refused, self.only = [forbidden(refused)], None

    def __call__(self, logs: np.ndarray) -> np.ndarray:
        """Apply to each row the rules of its options."""
        logs = rewritten(logs, self._refused)
        if len(self._groups) == 1:
            options, rows = self._groups[0]
            return apply_rules(logs, options, *self._past(options, rows))
        result = np.empty_like(logs)
        for options, rows in self._groups:
            result[rows] = apply_rules(logs[rows], options, *self._past(options, rows))
        return result

    def described(self) -> Description:
        """Tell what is done to each row, for who does it elsewhere."""
        slots: list[Slots] = [
            changes_of(options, rows, *self._past(options, rows)) for options, rows in self._groups
        ]
        return Description([*self._refused, *together(slots)], self._cuts)

    @cached_property
    def _cuts(self) -> Cuts:
        table = np.empty((len(self._each), len(Cuts._fields)))
        for options, rows in self._groups:
            table[rows] = options.cuts
        return Cuts(*table.T)

    def _past(
        self, options: SamplingOptions, rows: np.ndarray
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Give the history of some rows, and how much of it they wrote, where that counts."""
        if not options.looks_back:
            return None, None
        own = [self._each[row][0] for row in rows]
        history = np.stack([writing.history() for writing in own])
        return history, np.array([writing.tokens for writing in own])


def _drawn_anew(
    each: Sequence[tuple[Writing, SamplingOptions]], prediction: Prediction, ids: np.ndarray
) -> list[int]:
    """Draw ids in place of forbidden ones (n,), as though the model did not have those.

    What is refused is drawn from no more, so of the ids that remain each is as probable as if all
    offenders had been left out at once; only top-k and top-p still count offenders that were not
    drawn. Where a text is complete, what would lead out of its language is not refused but ends it:
    to end has the share of all such ids, among these and those that remain. NOTHING ends it, too,
    where none remains: what is then drawn was refused before.
    """
    writings, found = [writing for writing, _ in each], ids.tolist()
    refused: list[list[int]] = [[] for _ in writings]

    def refuses(row: int, token: int) -> bool:
        return writings[row].forbids(token) and not writings[row].ends_before(token)

    going = [row for row, token in enumerate(found) if refuses(row, token)]
    here, rules, part = list[int](), _Rules([]), prediction
    while going:
        if going != here:
            here, rules, part = going, _Rules([each[i] for i in going]), rows_of(prediction, going)
        for row in going:
            refused[row].append(found[row])
            if len(refused[row]) == FEW:
                every = range(writings[row].vocab_size)
                refused[row] = [token for token in every if refuses(row, token)]
        rules.refuse([refused[row] for row in going])
        noise = np.array([writings[row].noise() for row in going])
        for row, token in zip(going, part.draw(rules, noise).tolist(), strict=True):
            found[row] = token
        going = [i for i in going if found[i] not in refused[i] and refuses(i, found[i])]
    forbid = [writing.forbids(token) for writing, token in zip(writings, found, strict=True)]
    return [NOTHING if no else token for no, token in zip(forbid, found, strict=True)]
