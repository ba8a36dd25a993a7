"""Biases, penalties and what must not be repeated: which ids of which streams they change, and how.

What is changed is told as data (`charlm.predict.changes`); here and on a device the same is done.
Legend: k streams of the same options, W ids of each that are looked back on.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

import numpy as np

from charlm.generation.options import SamplingOptions
from charlm.predict.changes import Change, How

Slots = list[Change | None]  # a place for each of the rules, in the order in which they are applied
NO_NUMBER = np.zeros(1)


def changes_of(
    options: SamplingOptions,
    rows: np.ndarray,
    history: np.ndarray | None = None,
    written: np.ndarray | None = None,
) -> Slots:
    """Give what options change in the streams `rows` (k,) of a prediction.

    history: (k, W) the last ids of each stream; before them -1 where there are fewer
    written: (k,) how many of them are not of the prompt; None for all. OpenAI's penalties are for
             these, Hugging Face's for all
    """
    slots: Slots = [None, None, None, None]
    if options.logit_bias:
        ids, nats = _columns(tuple(options.logit_bias))
        slots[0] = Change(How.ADD, rows[:, None], ids, nats)
    if history is None:
        return slots
    if options.repetition_penalty != 1.0:
        slots[1] = _repetition(rows, history, options.repetition_penalty)
    if options.presence_penalty or options.frequency_penalty:
        own = history
        if written is not None:
            own = np.where(np.arange(-history.shape[1], 0) >= -written[:, None], history, -1)
        slots[2] = _presence(rows, own, options.presence_penalty, options.frequency_penalty)
    if options.no_repeat_ngram_size:
        slots[3] = _repeated_ngrams(rows, history, options.no_repeat_ngram_size)
    return slots


def forbidden(ids: Sequence[list[int]]) -> Change:
    """Give the change that forbids some ids of each stream."""
    rows = np.array([row for row, own in enumerate(ids) for _ in own])
    return Change(How.FORBID, rows, np.array([*chain(*ids)]), NO_NUMBER)


def together(groups: Sequence[Slots]) -> list[Change]:
    """Put the changes of several groups of streams together, rule by rule."""
    merged = []
    for slot in zip(*groups, strict=True):
        own = [change for change in slot if change is not None]
        if len(own) == 1:
            merged.append(own[0])
        elif own:
            spread = [np.broadcast_arrays(each.rows, each.ids, each.numbers) for each in own]
            pieces = zip(*spread, strict=True)
            merged.append(
                Change(own[0].how, *(np.concatenate([*map(np.ravel, p)]) for p in pieces))
            )
    return merged


def _repetition(rows: np.ndarray, history: np.ndarray, penalty: float) -> Change:
    """Make ids of the recent past less probable (CTRL, Keskar et al. 2019, section 4.1)."""
    own, _, ids = _seen(history)
    return Change(How.SCALE, rows[own], ids, np.array([penalty]))


def _presence(rows: np.ndarray, history: np.ndarray, presence: float, frequency: float) -> Change:
    """Take nats from ids that were written: once, and for each time they came, as OpenAI does."""
    own, places, ids = _seen(history)
    ends = np.full(len(ids), history.shape[1])
    np.copyto(ends[:-1], places[1:], where=own[1:] == own[:-1])
    return Change(How.ADD, rows[own], ids, -(presence + frequency * (ends - places)))


def _repeated_ngrams(rows: np.ndarray, history: np.ndarray, n: int) -> Change | None:
    """Forbid ids that would complete n ids which came in that order before (Hugging Face's rule).

    A stream whose ids all would is left as it is.
    """
    places = history.shape[1] - n + 1  # where n ids begin
    if places < 1:
        return None
    ends = history[:, n - 1 :]
    alike = ends >= 0
    for offset in range(n - 1):
        last = history[:, places + offset, None]
        alike &= (history[:, offset : places + offset] == last) & (last >= 0)
    own, at = np.nonzero(alike)
    return Change(How.FORBID, rows[own], ends[own, at], NO_NUMBER) if len(own) else None


def _seen(history: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the ids that are in each stream's history (k, W), by stream and size, (n,) each.

    With each comes its stream, and the place at which it would begin if the history were sorted.
    """
    ordered = np.sort(history, axis=1)
    fresh = ordered >= 0
    fresh[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    own, places = fresh.nonzero()
    return own, places, ordered[own, places]


@lru_cache(maxsize=64)
def _columns(biases: tuple[tuple[int, float], ...]) -> tuple[np.ndarray, np.ndarray]:
    """Give ids (n,) and nats (n,) as arrays: there may be as many as the vocabulary has tokens."""
    own = dict(biases)
    return np.array([*own]), np.array([*own.values()])
