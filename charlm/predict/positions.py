"""What is predicted at every position of a text, whole distributions of many positions at a time.

The plain way, for any predictor, is to step through the text. Some know a faster one: they have a
method `positions` that takes ids (1, n) and a state, and gives one prediction, whose n streams are
the positions, and the state after. A test compares both.
Legend: N ids of one stream, n of them at a time, V vocabulary.
"""

from collections.abc import Iterator

import numpy as np

from charlm.predict.predictor import DensePrediction, Prediction, Predictor, State

NUMBERS = 1 << 22  # log-probabilities held at a time


def at_positions(
    predictor: Predictor, ids: np.ndarray, state: State
) -> Iterator[tuple[np.ndarray, Prediction, State]]:
    """Read ids (N,), piece by piece; give ids (n,), what was predicted at each, the state after."""
    size = max(1, min(len(ids), NUMBERS // predictor.vocab_size))
    for start in range(0, len(ids), size):
        part = np.asarray(ids[start : start + size], dtype=np.int64)
        prediction, state = positions(predictor, part[None], state)
        yield part, prediction, state


def positions(predictor: Predictor, ids: np.ndarray, state: State) -> tuple[Prediction, State]:
    """Give what is predicted at each of ids (1, n), by the predictor's own way if it has one."""
    own = getattr(predictor, "positions", None)
    if own is None:
        return step_through(predictor, ids, state)
    found: tuple[Prediction, State] = own(ids, state)
    return found


def step_through(predictor: Predictor, ids: np.ndarray, state: State) -> tuple[Prediction, State]:
    """Do the same id after id: what `positions` means."""
    prediction, rows = predictor.prediction(state), []
    for number in range(ids.shape[1]):
        rows.append(prediction.log_probs())
        prediction, state = predictor.step(ids[:, number], state)
    return DensePrediction(np.concatenate(rows)), state
