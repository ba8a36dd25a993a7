"""Several predictors as one: their probabilities, each with its weight.

    p(w | h) = sum_k weight(h, k) p_k(w | h)

The weights may depend on how much an n-gram model among them knows of what was read last: on how
many of the last ids it has seen together (Jelinek & Mercer 1980, whose "buckets" these are).
Legend: S streams, N ids of each, V vocabulary, P parts, K buckets.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from charlm.predict.mixed import MixedPrediction, probs_of
from charlm.predict.positions import positions
from charlm.predict.predictor import Prediction, Predictor, State, compile_all, lanes_of
from charlm.predict.reading import read, settled

ROUNDS = 200  # of expectation and maximisation: the weights move by less than 0.001 by then
FEWEST = 50  # ids that a bucket's weights are fitted on, without those of all


class Knowing(Predictor, Protocol):
    """A predictor that tells how much of what was read it has seen before."""

    order: int

    def known(self, state: State) -> np.ndarray:
        """Count, for each stream, the ids of the longest context that was seen before, (S,)."""

    def known_before(self, ids: np.ndarray, state: State) -> np.ndarray:
        """Count the same before each of ids (S, N), (S, N)."""


class MixturePredictor:
    """Predicts with the mixture of its parts; a state is the tuple of theirs.

    weights: (K, P), each row adding up to one; with one row there are no buckets, else the row is
    chosen by what `judge`, one of the parts, knows of the context: none of it, one id, ...
    """

    def __init__(
        self, parts: Sequence[Predictor], weights: np.ndarray, judge: Knowing | None = None
    ) -> None:
        assert weights.shape == (1 if judge is None else judge.order, len(parts))
        self.parts, self.judge = list(parts), judge
        self.vocab_size, self.lanes = parts[0].vocab_size, min(map(lanes_of, parts))
        with np.errstate(divide="ignore"):
            self._log_weights: np.ndarray = np.log(weights).astype(np.float32)
        self._place = None if judge is None else self.parts.index(judge)

    def compile_all(self) -> None:
        """Compile what its parts work by; nothing without numba."""
        for part in self.parts:
            compile_all(part)

    def start(self, streams: int) -> tuple[State, ...]:
        """Give the state of S streams that have read nothing but the boundary."""
        return tuple(part.start(streams) for part in self.parts)

    def prediction(self, state: tuple[State, ...]) -> Prediction:
        """Predict what comes next, without reading."""
        own = [part.prediction(each) for part, each in zip(self.parts, state, strict=True)]
        return MixturePrediction(own, self._weights_after(state))

    def step(
        self, ids: np.ndarray, state: tuple[State, ...]
    ) -> tuple[Prediction, tuple[State, ...]]:
        """Read one id in each stream, (S,); predict what comes after it."""
        steps = [part.step(ids, each) for part, each in zip(self.parts, state, strict=True)]
        after = tuple(each for _, each in steps)
        own = [prediction for prediction, _ in steps]
        return MixturePrediction(own, self._weights_after(after)), after

    def score(
        self, ids: np.ndarray, state: tuple[State, ...]
    ) -> tuple[np.ndarray, tuple[State, ...]]:
        """Read ids (S, N); give -log p of each where it stands, (S, N) float32 nats."""
        scores = [part.score(ids, each) for part, each in zip(self.parts, state, strict=True)]
        parts = np.stack([nats for nats, _ in scores], axis=-1)  # (S, N, P)
        weights = self._log_weights[self._buckets_before(ids, state)]
        return -log_sum(weights - parts), tuple(each for _, each in scores)

    def read(self, ids: np.ndarray, state: tuple[State, ...]) -> tuple[State, ...]:
        """Read ids (S, N) without a look at what is said of them."""
        return tuple(read(part, ids, each) for part, each in zip(self.parts, state, strict=True))

    def settled(self, state: tuple[State, ...]) -> tuple[State, ...]:
        """Give a state of one stream as reading at once would have left it."""
        return tuple(settled(part, each) for part, each in zip(self.parts, state, strict=True))

    def positions(
        self, ids: np.ndarray, state: tuple[State, ...]
    ) -> tuple[Prediction, tuple[State, ...]]:
        """Give what is predicted at each of ids (1, n), as n streams, and the state after."""
        found = [positions(part, ids, each) for part, each in zip(self.parts, state, strict=True)]
        weights = self._log_weights[self._buckets_before(ids, state)[0]]
        own = [prediction for prediction, _ in found]
        return MixturePrediction(own, weights), tuple(each for _, each in found)

    def select(
        self, state: tuple[State, ...], streams: Sequence[int] | np.ndarray
    ) -> tuple[State, ...]:
        """Take some streams of a state, in the order given."""
        return tuple(
            part.select(each, streams) for part, each in zip(self.parts, state, strict=True)
        )

    def stack(self, states: Sequence[tuple[State, ...]]) -> tuple[State, ...]:
        """Put the streams of several states one after the other."""
        columns = zip(*states, strict=True)
        return tuple(part.stack(each) for part, each in zip(self.parts, columns, strict=True))

    def _weights_after(self, state: tuple[State, ...]) -> np.ndarray:
        """Give the log weights (S, P), or (1, P) for all streams."""
        if self.judge is None or self._place is None:
            return self._log_weights
        rows: np.ndarray = self._log_weights[self.judge.known(state[self._place])]
        return rows

    def _buckets_before(self, ids: np.ndarray, state: tuple[State, ...]) -> np.ndarray:
        if self.judge is None or self._place is None:
            return np.zeros(ids.shape, dtype=np.int64)
        return np.asarray(self.judge.known_before(ids, state[self._place]))


class SideBySide:
    """Several predictors and mixtures of them that score a text together, each part reading once.

    parts: predictors, of which each gives one column of nats, or more by its `score_columns`
    weights: (R, P) for P columns in all; each row is a mixture, or, with a single one, a part
    """

    def __init__(self, parts: Sequence[Predictor], weights: np.ndarray) -> None:
        self._parts, self.lanes = list(parts), min(map(lanes_of, parts))
        with np.errstate(divide="ignore"):
            self._log_weights: np.ndarray = np.log(weights).astype(np.float32)

    def start(self, streams: int) -> tuple[State, ...]:
        """Give the state of S streams that have read nothing but the boundary."""
        return tuple(part.start(streams) for part in self._parts)

    def score(
        self, ids: np.ndarray, state: tuple[State, ...]
    ) -> tuple[np.ndarray, tuple[State, ...]]:
        """Read ids (S, N); give -log p of each by each mixture, (S, N, R) float32 nats."""
        columns, after = self.columns(ids, state)
        mixed = [-log_sum(row - columns) for row in self._log_weights]
        return np.stack(mixed, axis=-1), after

    def select(
        self, state: tuple[State, ...], streams: Sequence[int] | np.ndarray
    ) -> tuple[State, ...]:
        """Take some streams of a state, in the order given."""
        return tuple(
            part.select(each, streams) for part, each in zip(self._parts, state, strict=True)
        )

    def columns(
        self, ids: np.ndarray, state: tuple[State, ...]
    ) -> tuple[np.ndarray, tuple[State, ...]]:
        """Give the same by each part, (S, N, P)."""
        columns, after = [], []
        for part, each in zip(self._parts, state, strict=True):
            nats, own = getattr(part, "score_columns", part.score)(ids, each)
            columns.append(nats if nats.ndim == 3 else nats[..., None])
            after.append(own)
        return np.concatenate(columns, axis=-1), tuple(after)


class MixturePrediction(MixedPrediction):
    """What a mixture says comes next. log_weights: (S, P), or (1, P) for all streams."""

    def __init__(self, parts: Sequence[Prediction], log_weights: np.ndarray) -> None:
        self._parts, self._log_weights = parts, log_weights

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Give log p of one id for each stream, (S,)."""
        if (known := self._of_probs(ids)) is not None:
            return known
        own = np.stack([part.of(ids) for part in self._parts], axis=-1)  # (S, P)
        return log_sum(own + self._log_weights)

    def _mix(self) -> np.ndarray:
        weights = np.exp(self._log_weights)
        first, *others = self._parts
        total: np.ndarray = weights[:, :1] * probs_of(first)
        for place, part in enumerate(others, start=1):
            total += weights[:, place : place + 1] * probs_of(part)
        return total

    def _log_mix(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        own = np.stack([part.log_probs()[rows, ids] for part in self._parts], axis=-1)  # (n, P)
        weights = self._log_weights
        return log_sum(own + (weights if len(weights) == 1 else weights[rows]))


def log_sum(terms: np.ndarray) -> np.ndarray:
    """Give the log of the sum of e^terms over the last axis."""
    return np.asarray(np.logaddexp.reduce(terms, axis=-1))


def fit_weights(log_probs: np.ndarray, buckets: np.ndarray, number: int) -> np.ndarray:
    """Find the weights (K, P) under which a text is most probable.

    log_probs: (N, P), of each id by each part, on text that none of them was made from
    buckets: (N,), from 0 to `number` - 1 = K - 1; one with few ids has the weights of all

    By expectation and maximisation, which finds the only maximum (Dempster et al. 1977).
    """
    everything = _fit(log_probs, np.full(log_probs.shape[1], 1 / log_probs.shape[1]))
    weights = np.tile(everything, (number, 1))
    for bucket in range(number):
        own = log_probs[buckets == bucket]
        if len(own) >= FEWEST:
            weights[bucket] = _fit(own, everything)
    return weights


def _fit(log_probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    probs = np.exp(log_probs - log_probs.max(axis=1, keepdims=True)).astype(np.float64)
    for _ in range(ROUNDS):
        shares = probs * np.maximum(weights, 1e-6)
        weights = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
    return np.asarray(weights / weights.sum())
