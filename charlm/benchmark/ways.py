"""The ways in which charlm can write with a network's weights on a CPU; to add one, add a line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from charlm.benchmark.networks import WritingNetwork
from charlm.model.rows import Weight, quantised_weights
from charlm.predict.predictor import Predictor
from charlm.predict.runtime import RuntimePredictor

BOUNDARY = 0  # the id that starts a stream
SEED = 1


@dataclass(frozen=True)
class Way:
    """A way to write.

    exact:   it computes in float32, and so what the textbook's network does
    numbers: bytes of each weight that it reads
    make:    makes the predictor; None where the machine or the installation does not offer it
    """

    name: str
    exact: bool
    numbers: int
    make: Callable[[WritingNetwork], Predictor | None]


def _numpy(network: WritingNetwork) -> Predictor:
    return RuntimePredictor(network.config, network.weights, BOUNDARY, compiled=False)


def _compiled(network: WritingNetwork, weights: Mapping[str, Weight]) -> Predictor | None:
    if find_spec("numba") is None:
        return None
    return RuntimePredictor(network.config, weights, BOUNDARY, compiled=True)


WAYS = (
    Way("NumPy", True, 4, _numpy),
    Way("compiled", True, 4, lambda network: _compiled(network, network.weights)),
    Way("compiled, int8", False, 1, lambda n: _compiled(n, quantised_weights(n.weights))),
)


class Writer:
    """Writes streams side by side, as `charlm generate` at temperature 1 does, without the text."""

    def __init__(self, predictor: Predictor, streams: int) -> None:
        self._predictor, self._streams = predictor, streams
        self._random = np.random.default_rng(SEED)
        self._state = predictor.start(streams)
        self._prediction = predictor.prediction(self._state)

    def write(self, tokens: int) -> np.ndarray:
        """Go on by so many tokens in each stream; give their ids, (tokens, S)."""
        written = []
        for _ in range(tokens):
            ids = self._prediction.draw(Plain(), self._random.random(self._streams))
            self._prediction, self._state = self._predictor.step(ids, self._state)
            written.append(ids)
        return np.stack(written)


class Plain:
    """The rules of temperature 1 and nothing else: what is drawn from is the prediction itself."""

    only = (1.0, 0)  # temperature and top-k, for predictions that draw by these alone

    def __call__(self, log_probs: np.ndarray) -> np.ndarray:
        """Leave log p (S, V) as it is."""
        return log_probs
