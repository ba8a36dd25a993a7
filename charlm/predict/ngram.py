"""An n-gram model as a Predictor: tables of n-grams, their log p, and what falls to shorter ones.

The n-grams of each length n are numbered in the order of their keys. A key is
key = (number of the n-gram's first n - 1 ids) · V + last id; a single id's number is the id itself.
So the n-grams that continue a context are neighbours, and a text's n-grams are found for all its
positions at once. Legend: S streams, N ids of each, V vocabulary, K order, M n-grams of a length.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from charlm.predict.predictor import LazyPrediction, Prediction, checked_ids

if TYPE_CHECKING:
    from charlm.predict.ngram_compiled import CompiledGrams

UNSEEN = -1  # in place of the number of an n-gram that was never seen
FEW = 4  # streams that are looked after one by one, which takes less than arrays do
BYTES = 16  # for an n-gram: its key and two numbers in float32


@dataclass(frozen=True)
class NgramTable:
    """The n-grams of one length, sorted by key.

    keys:        (M,) int64; for single ids, 0 to V - 1
    log_probs:   (M,) float32, of the last id after the ids before it
    log_backoff: (M,) float32, of what is left, after the whole n-gram, to shorter contexts; none
                 for the longest n-grams
    """

    keys: np.ndarray
    log_probs: np.ndarray
    log_backoff: np.ndarray | None

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Give the numbers of n-grams by their keys, UNSEEN for those that are not there."""
        places = np.searchsorted(self.keys, keys)
        places[places == len(self.keys)] = 0
        found = self.keys[places] == keys if len(self.keys) else np.zeros(keys.shape, dtype=bool)
        return np.where(found, places, UNSEEN)

    def find_one(self, key: int) -> int:
        """Give the number of one n-gram."""
        place = int(self.keys.searchsorted(key))
        return place if place < len(self.keys) and self.keys[place] == key else UNSEEN

    def after(
        self, contexts: np.ndarray, vocab_size: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give all n-grams that go on with contexts (n,): whose, their last ids, their numbers."""
        starts = contexts * vocab_size
        first, last = self.keys.searchsorted(np.stack([starts, starts + vocab_size]))
        counts = last - first
        whose = np.repeat(np.arange(len(contexts)), counts)
        skipped = first - np.concatenate([[0], counts.cumsum()[:-1]])
        numbers = np.arange(len(whose)) + skipped[whose]
        return whose, self.keys[numbers] - starts[whose], numbers


class NgramPredictor:
    """Predicts by the longest n-gram that was seen; a state is what was read last.

    A state (S, K - 1) holds the number of the n-gram that each stream read last, for every length
    from 1 to K - 1, or UNSEEN.
    """

    def __init__(self, tables: Sequence[NgramTable], boundary_id: int) -> None:
        self.tables = list(tables)
        self.vocab_size = len(self.tables[0].keys)
        self.boundary_id = boundary_id
        self._compiled: CompiledGrams | None = None

    def compile_all(self) -> None:
        """Look up by compiled functions from now on; nothing without numba."""
        tables = [(table.keys, table.log_probs, table.log_backoff) for table in self.tables]
        # ValueError: tables of a file that lie askew are read by NumPy
        with contextlib.suppress(ImportError, ValueError):
            from charlm.predict.ngram_compiled import CompiledGrams

            self._compiled = CompiledGrams(tables)

    @property
    def order(self) -> int:
        """Give the length of the longest n-grams, K."""
        return len(self.tables)

    def start(self, streams: int) -> np.ndarray:
        """Give the state of S streams that have read nothing but the boundary."""
        state = np.full((streams, max(self.order - 1, 0)), UNSEEN, dtype=np.int64)
        state[:, :1] = self.boundary_id
        return state

    def prediction(self, state: np.ndarray) -> Prediction:
        """Predict what comes next, without reading."""
        return NgramPrediction(self, state)

    def step(self, ids: np.ndarray, state: np.ndarray) -> tuple[Prediction, np.ndarray]:
        """Read one id in each stream, (S,); predict what comes after it."""
        after = self._after(checked_ids(ids, self.vocab_size), state)
        return self.prediction(after), after

    def score(self, ids: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read ids (S, N); give -log p of each where it stands, (S, N) float32 nats."""
        found = self._find(checked_ids(ids, self.vocab_size), state)
        contexts = self._contexts(found, state)
        log_probs = self._log_probs(found, contexts)
        if ids.shape[1]:
            state = self._last(found)
        return -log_probs, state

    def select(self, state: np.ndarray, streams: Sequence[int] | np.ndarray) -> np.ndarray:
        """Take some streams of a state, in the order given."""
        return state[np.asarray(streams, dtype=np.int64)]

    def stack(self, states: Sequence[np.ndarray]) -> np.ndarray:
        """Put the streams of several states one after the other."""
        return np.concatenate(states)

    def positions(self, ids: np.ndarray, state: np.ndarray) -> tuple[Prediction, np.ndarray]:
        """Give what is predicted at each of ids (1, n), as n streams, and the state after."""
        found = self._find(checked_ids(ids, self.vocab_size), state)
        contexts = [each[0] for each in self._contexts(found, state)]
        before = np.array(contexts, dtype=np.int64).reshape(self.order - 1, ids.shape[1]).T
        return self.prediction(before), self._last(found) if ids.shape[1] else state

    def of(self, ids: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Give log p of one id for each stream, (S,)."""
        found = self._find(np.asarray(ids)[:, None], state)
        return self._log_probs(found, self._contexts(found, state))[:, 0]

    def log_probs(self, state: np.ndarray) -> np.ndarray:
        """Give log p of every id after each stream, (S, V) float32."""
        if self._compiled is not None:
            return self._compiled.log_probs(state)
        if len(state) <= FEW:
            return np.stack([self._log_probs_of_one(own) for own in state.tolist()])
        rows, starts = np.arange(len(state)), list[tuple[np.ndarray, ...]]()
        left = np.zeros((self.order, len(state)), dtype=np.float32)  # by each length to the shorter
        for length, (shorter, longer) in enumerate(pairwise(self.tables)):
            rows = rows[state[rows, length] != UNSEEN]
            if not len(rows):
                break
            assert shorter.log_backoff is not None
            contexts = state[rows, length]
            left[length, rows] = shorter.log_backoff[contexts]
            starts.append((rows, *longer.after(contexts, self.vocab_size)))
        later = np.cumsum(left[::-1], axis=0)[::-1]  # of this length and all longer ones
        result: np.ndarray = self.tables[0].log_probs + later[0][:, None]
        for length, (own, streams, ids, places) in enumerate(starts, start=1):
            streams = own[streams]
            result[streams, ids] = self.tables[length].log_probs[places] + later[length][streams]
        return result

    def _log_probs_of_one(self, state: list[int]) -> np.ndarray:
        """Do the same for one stream, (V,)."""
        backoffs, found = list[float](), list[tuple[np.ndarray, np.ndarray]]()
        for context, (shorter, longer) in zip(state, pairwise(self.tables), strict=True):
            if context == UNSEEN:
                break
            assert shorter.log_backoff is not None
            backoffs.append(float(shorter.log_backoff[context]))
            start = context * self.vocab_size
            first, last = longer.keys.searchsorted((start, start + self.vocab_size)).tolist()
            found.append((longer.keys[first:last] - start, longer.log_probs[first:last]))
        later = sum(backoffs)  # left to this length by all longer ones
        result = self.tables[0].log_probs + later
        for backoff, (ids, log_probs) in zip(backoffs, found, strict=True):
            later -= backoff
            result[ids] = log_probs + later
        return np.asarray(result)

    def known(self, state: np.ndarray) -> np.ndarray:
        """Count, for each stream, the ids of the longest context that was seen before, (S,)."""
        return np.asarray((state != UNSEEN).sum(axis=1))

    def known_before(self, ids: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Count the same before each of ids (S, N), (S, N)."""
        contexts = self._contexts(self._find(ids, state), state)
        return sum((each != UNSEEN for each in contexts), np.zeros(ids.shape, dtype=np.int64))

    def _find(self, ids: np.ndarray, state: np.ndarray) -> list[np.ndarray]:
        """Give the numbers (S, N) of the n-grams that end with each id, for each length."""
        found = [ids.astype(np.int64)]
        for length, table in enumerate(self.tables[1:], start=1):
            before = np.concatenate([state[:, length - 1 : length], found[-1][:, :-1]], axis=1)
            numbers = table.find(before * self.vocab_size + ids)
            found.append(np.where(before == UNSEEN, UNSEEN, numbers))
        return found

    def _after(self, ids: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Give the state after one id of each stream, (S,)."""
        if self._compiled is not None:
            return self._compiled.after(ids, state)
        after = np.full(state.shape, UNSEEN, dtype=np.int64)
        after[:, :1] = ids[:, None]
        if len(ids) <= FEW:
            for row, (token, own) in enumerate(zip(ids.tolist(), state.tolist(), strict=True)):
                for length, before in enumerate(own[:-1], start=1):
                    if before != UNSEEN:
                        key = before * self.vocab_size + token
                        after[row, length] = self.tables[length].find_one(key)
            return after
        for length in range(1, self.order - 1):
            before = state[:, length - 1]
            rows = np.flatnonzero(before != UNSEEN)
            if len(rows):
                keys = before[rows] * self.vocab_size + ids[rows]
                after[rows, length] = self.tables[length].find(keys)
        return after

    def _last(self, found: list[np.ndarray]) -> np.ndarray:
        """Give the state after the last of the ids that were found."""
        shape = len(found[0]), self.order - 1
        ends = [numbers[:, -1] for numbers in found[: self.order - 1]]
        return np.array(ends, dtype=np.int64).reshape(shape[::-1]).T

    def _contexts(self, found: list[np.ndarray], state: np.ndarray) -> list[np.ndarray]:
        """Give the numbers (S, N) of the n-grams that stand before each id, for each length."""
        return [
            np.concatenate([state[:, length : length + 1], numbers[:, :-1]], axis=1)
            for length, numbers in enumerate(found[: self.order - 1])
        ]

    def _log_probs(self, found: list[np.ndarray], contexts: list[np.ndarray]) -> np.ndarray:
        """Give log p (S, N): of the longest n-gram seen, times what longer contexts left to it."""
        log_probs = self.tables[0].log_probs[found[0]]
        lengths = zip(found[1:], contexts, self.tables[:-1], self.tables[1:], strict=True)
        for numbers, before, shorter, longer in lengths:
            assert shorter.log_backoff is not None
            left = np.where(before == UNSEEN, np.float32(0), shorter.log_backoff[before])
            own = longer.log_probs[numbers] if len(longer.keys) else log_probs
            log_probs = np.where(numbers == UNSEEN, log_probs + left, own)
        return np.asarray(log_probs)


class NgramPrediction(LazyPrediction):
    """What an n-gram model says comes next: one id is looked up, all are laid out if asked for."""

    def __init__(self, predictor: NgramPredictor, state: np.ndarray) -> None:
        self._predictor, self._state = predictor, state

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Give log p of one id for each stream, (S,)."""
        return self._predictor.of(ids, self._state)

    def _make(self) -> np.ndarray:
        return self._predictor.log_probs(self._state)
