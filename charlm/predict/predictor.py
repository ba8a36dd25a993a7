"""The one idea: everything that can say "what comes next" is a Predictor.

A predictor is asked with a state and ids, and answers with a Prediction and a new state. The state
is a value: it goes in and comes out, is never altered in place, and can be selected and stacked
along its streams. Legend: S streams, N ids of each, V vocabulary.

    state = predictor.start(1)
    for id in ids:
        prediction, state = predictor.step(np.array([id]), state)

A state has read everything before the id that is predicted next; `start` has read the boundary.
All of a prediction's answers agree, to 1e-4 in float32, and its probabilities sum to one.
What reads ids raises UsageError for a number that is no id.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol, TypeAlias

import numpy as np

from charlm.errors import UsageError
from charlm.predict.changes import Change, changed
from charlm.predict.drawing import draw, largest
from charlm.predict.kept import kept

State: TypeAlias = Any
FEW = 16  # ids
Rules: TypeAlias = Callable[[np.ndarray], np.ndarray]


class Prediction(Protocol):
    """What comes next in each of S streams. It computes only what it is asked for."""

    def log_probs(self) -> np.ndarray:
        """Give log p of every id, (S, V) float32."""

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Give log p of one id for each stream: (S,) -> (S,) float32."""

    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Give the k most probable ids and their log p, both (S, k), most probable first."""

    def draw(self, rules: Rules, noise: np.ndarray) -> np.ndarray:
        """Choose one id for each stream, (S,).

        rules: turns log p (S, V) into what is drawn from: unnormalised log p, -inf for never; who
               draws elsewhere than in NumPy may let it tell what it does (`charlm.predict.changes`)
        noise: (S,) uniform in [0, 1); the same noise chooses the same id
        """


class Predictor(Protocol):
    """Anything that predicts the next id from those before it."""

    vocab_size: int

    def start(self, streams: int) -> State:
        """Give the state of S streams that have read nothing but the boundary."""

    def prediction(self, state: State) -> Prediction:
        """Predict what comes next, without reading."""

    def step(self, ids: np.ndarray, state: State) -> tuple[Prediction, State]:
        """Read one id in each stream, (S,); predict what comes after it."""

    def score(self, ids: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Read ids (S, N); give -log p of each where it stands, (S, N) float32 nats.

        The first is predicted by `state`. Works in pieces: N x V numbers are never held.
        """

    def select(self, state: State, streams: Sequence[int] | np.ndarray) -> State:
        """Take some streams of a state, in the order given, some perhaps several times."""

    def stack(self, states: Sequence[State]) -> State:
        """Put the streams of several states one after the other."""


class Network(Predictor, Protocol):
    """A predictor that shows by what it predicts."""

    def outputs(self, state: State) -> np.ndarray:
        """Give the outputs (S, E) by which the next id is predicted."""

    def score_with_outputs(
        self, ids: np.ndarray, state: State
    ) -> tuple[np.ndarray, np.ndarray, State]:
        """Score ids (S, N); give nats (S, N), the outputs that predicted each (S, N, E), state."""

    def positions_with_outputs(
        self, ids: np.ndarray, state: State
    ) -> tuple[Prediction, np.ndarray, State]:
        """Give what is predicted at each of ids (1, n), as n streams, and as above the rest."""

    def pack(self, state: State) -> list[np.ndarray]:
        """Give what a state has read as arrays, with a row for each stream; the last is outputs."""

    def unpack(self, arrays: Sequence[np.ndarray]) -> State:
        """Make a state of them."""


def checked_ids(ids: np.ndarray, vocab_size: int) -> np.ndarray:
    """Give ids of any shape as an array; raise UsageError where one is none of 0 to V - 1."""
    ids = np.asarray(ids)
    if ids.dtype.kind not in "iu" and ids.size:
        raise UsageError(f"ids are whole numbers, not {ids.ravel()[0]!r:.40}")
    if ids.size <= FEW:  # looked at one by one in a tenth of the time
        known = all(0 <= token < vocab_size for token in ids.ravel().tolist())
    else:
        known = bool(ids.min() >= 0 and ids.max() < vocab_size)
    if not known:
        wrong = ids[(ids < 0) | (ids >= vocab_size)][0]
        raise UsageError(f"{wrong} is no id of this model: they are 0 to {vocab_size - 1}")
    return ids


def lanes_of(predictor: object) -> float:
    """Give how many streams a predictor can read side by side: any number, unless it says so."""
    return float(getattr(predictor, "lanes", math.inf))


def compile_all(predictor: object) -> None:
    """Let a predictor compile what it works by, if it can: nothing without numba."""
    own = getattr(predictor, "compile_all", None)
    if own is not None and has_numba():
        own()


@cache
def has_numba() -> bool:
    """Tell whether numba can be used: one that does not fit what is there fails in many ways."""
    try:
        import numba  # noqa: F401
    except Exception:
        return False
    return True


class DensePrediction:
    """A prediction whose log-probabilities are at hand as an array, (S, V)."""

    def __init__(self, log_probs: np.ndarray) -> None:
        self._log_probs = log_probs

    def log_probs(self) -> np.ndarray:
        """Give log p of every id, (S, V)."""
        return self._log_probs

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Give log p of one id for each stream, (S,)."""
        return np.take_along_axis(self._log_probs, np.asarray(ids)[:, None], axis=1)[:, 0]

    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Give the k most probable ids and their log p, both (S, k), most probable first."""
        return largest(self._log_probs, k)

    def draw(self, rules: Rules, noise: np.ndarray) -> np.ndarray:
        """Choose one id for each stream by where its noise falls in the cumulated distribution."""
        return draw(self._log_probs, rules, noise)


def without(prediction: Prediction, rows: Sequence[int], change: Change) -> Prediction:
    """Give what some streams predict if some of their ids may not come, to draw from.

    By its method `without`, where a prediction has one.
    """
    own: Callable[..., Prediction] | None = getattr(prediction, "without", None)
    if own is not None:
        return own(rows, change)
    return DensePrediction(changed(prediction.log_probs()[rows], [change]))


class LazyPrediction(ABC):
    """A prediction that lays out all log-probabilities when first asked for more than `of`."""

    @abstractmethod
    def of(self, ids: np.ndarray) -> np.ndarray:
        """Give log p of one id for each stream, (S,)."""

    @abstractmethod
    def _make(self) -> np.ndarray:
        """Compute log p of every id, (S, V)."""

    @kept
    def _dense(self) -> DensePrediction:
        return DensePrediction(self._make())

    @property
    def _laid_out(self) -> bool:
        """Tell whether all are at hand."""
        return "_dense" in self.__dict__

    def log_probs(self) -> np.ndarray:
        """Give log p of every id, (S, V)."""
        return self._dense.log_probs()

    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Give the k most probable ids and their log p, both (S, k), most probable first."""
        return self._dense.top(k)

    def draw(self, rules: Rules, noise: np.ndarray) -> np.ndarray:
        """Choose one id for each stream."""
        return self._dense.draw(rules, noise)
