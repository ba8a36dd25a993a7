"""The choice of the next ids: each sample by its own options, noise and guards.

Legend: S samples, one in each row of a prediction, V vocabulary.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from charlm.generation.options import SamplingOptions
from charlm.generation.penalties import Slots, changes_of, forbidden, together
from charlm.generation.sampling import apply_rules
from charlm.generation.writing import Writing
from charlm.predict.changes import Cuts, Description
from charlm.predict.kept import kept
from charlm.predict.predictor import Prediction, without

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
        drawn = {row: _Place(self._each[row][0], int(ids[row])) for row in self._guarded}
        offenders = {row: place for row, place in drawn.items() if place.outcome() == NOTHING}
        if offenders:
            _draw_anew(offenders, self._each, prediction)
            ids = ids.copy()
            ids[list(offenders)] = [place.outcome() for place in offenders.values()]
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
        self.only = self._groups[0][0].only if len(self._groups) == 1 else None

    def __call__(self, logs: np.ndarray) -> np.ndarray:
        """Apply to each row the rules of its options."""
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
        return Description(together(slots), self._cuts)

    @kept
    def _cuts(self) -> Cuts:
        return Cuts(*np.array([options.cuts for _, options in self._each]).T)

    def _past(
        self, options: SamplingOptions, rows: np.ndarray
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Give the history of some rows, and how much of it they wrote, where that counts."""
        if not options.looks_back:
            return None, None
        own = [self._each[row][0] for row in rows]
        history = np.stack([writing.history() for writing in own])
        return history, np.array([writing.tokens for writing in own])


class _Place:
    """A place in a text, for which an id is drawn that is forbidden.

    What is refused is drawn from no more, so of the ids that remain each is as probable as if all
    offenders had been left out at once; only top-k and top-p still count offenders that were not
    drawn. Where a text is complete, what would lead out of its language is not refused but ends it:
    to end has the share of all such ids, among these and those that remain. NOTHING ends it, too,
    where none remains: what is then drawn was refused before.

    token: the id drawn last
    """

    def __init__(self, writing: Writing, token: int) -> None:
        self.writing, self.token = writing, token
        self._refused: set[int] = set()

    @property
    def goes_on(self) -> bool:
        """Tell whether another id must be drawn."""
        return self.token not in self._refused and self._refuses(self.token)

    def refuse(self) -> list[int]:
        """Refuse the id; give what is drawn from no more."""
        self._refused.add(self.token)
        if len(self._refused) != FEW:
            return [self.token]
        self._refused.update(filter(self._refuses, range(self.writing.vocab_size)))
        return list(self._refused)

    def outcome(self) -> int:
        """Give the id that comes here, or NOTHING."""
        return NOTHING if self.writing.forbids(self.token) else self.token

    def _refuses(self, token: int) -> bool:
        return self.writing.forbids(token) and not self.writing.ends_before(token)


def _draw_anew(
    places: Mapping[int, _Place],
    each: Sequence[tuple[Writing, SamplingOptions]],
    prediction: Prediction,
) -> None:
    """Draw for the places of some rows, as though the model did not have what they refuse."""
    going = [row for row, place in places.items() if place.goes_on]
    rows, rules = going, _Rules([each[row] for row in going])  # rows: those in `prediction`
    while going:
        own = [places[row] for row in going]
        prediction = without(prediction, rows, forbidden([place.refuse() for place in own]))
        noise = np.array([place.writing.noise() for place in own])
        for place, token in zip(own, prediction.draw(rules, noise).tolist(), strict=True):
            place.token = token
        rows = [row for row, place in enumerate(own) if place.goes_on]
        if len(rows) < len(going):
            going = [going[row] for row in rows]
            rules = _Rules([each[row] for row in going])
