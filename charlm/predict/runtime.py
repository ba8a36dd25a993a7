"""The network as a Predictor in NumPy alone: small, and there at once where PyTorch takes seconds.

It is meant for a token at a time; long texts are scored faster by `charlm.predict.neural`.
Legend: S streams, N ids of each, E embedding, H hidden units, G gates, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from charlm.model.shape import GATES, NetworkConfig
from charlm.predict.predictor import Prediction
from charlm.predict.runtime_cells import Hidden, layer_of
from charlm.predict.runtime_heads import head_of

MAX_TABLE = 1 << 22  # numbers in the table of the first layer's inputs
CHUNK_NUMBERS = 1 << 22  # logits held at a time


@dataclass(frozen=True)
class RuntimeState:
    """What a network has read: its hidden state, (S, H) arrays, and its output (S, E)."""

    hidden: Hidden
    output: np.ndarray


class RuntimePredictor:
    """Predicts with the weights of a `LanguageNetwork`, by name, in float32."""

    def __init__(
        self, config: NetworkConfig, weights: dict[str, np.ndarray], boundary_id: int
    ) -> None:
        self.vocab_size = config.vocab_size
        self.boundary_id = boundary_id
        self._config = config
        self._embedding = weights["embedding"]
        self._layers = [layer_of(config, weights, number) for number in range(config.num_layers)]
        self._projection = None
        if config.projects:
            self._projection = (weights["projection.weight"].T, weights["projection.bias"])
        self._head = head_of(config, weights)
        self._table: np.ndarray | None = None
        _, units = config.layer_sizes[0]
        if config.vocab_size * GATES[config.cell] * units <= MAX_TABLE:
            self._table = self._layers[0].inputs(self._embedding)  # (V, G·H), or (V, E) unweighed

    def start(self, streams: int) -> RuntimeState:
        """Give the state of S streams that have read nothing but the boundary."""
        sizes = self._config.state_sizes
        hidden = tuple(np.zeros((streams, size), dtype=np.float32) for size in sizes)
        return self._read(np.full(streams, self.boundary_id), hidden)

    def prediction(self, state: RuntimeState) -> Prediction:
        """Predict what comes next, without reading."""
        return self._head.prediction(state.output)

    def step(self, ids: np.ndarray, state: RuntimeState) -> tuple[Prediction, RuntimeState]:
        """Read one id in each stream, (S,); predict what comes after it."""
        after = self._read(np.asarray(ids), state.hidden)
        return self.prediction(after), after

    def score(self, ids: np.ndarray, state: RuntimeState) -> tuple[np.ndarray, RuntimeState]:
        """Read ids (S, N); give -log p of each where it stands, (S, N) float32 nats."""
        pieces: list[np.ndarray] = [np.zeros((len(ids), 0), dtype=np.float32)]
        for nats, _, after in self._scored(ids, state):
            pieces.append(nats)
            state = after
        return np.concatenate(pieces, axis=1), state

    def score_with_outputs(
        self, ids: np.ndarray, state: RuntimeState
    ) -> tuple[np.ndarray, np.ndarray, RuntimeState]:
        """Score ids (S, N), and give the outputs (S, N, E) by which each was predicted."""
        empty = np.zeros((*ids.shape[:1], 0, state.output.shape[1]), dtype=np.float32)
        nats, outputs = [empty[..., 0]], [empty]
        for piece, before, after in self._scored(ids, state):
            nats.append(piece)
            outputs.append(before)
            state = after
        return np.concatenate(nats, axis=1), np.concatenate(outputs, axis=1), state

    def positions(self, ids: np.ndarray, state: RuntimeState) -> tuple[Prediction, RuntimeState]:
        """Give what is predicted at each of ids (1, n), as n streams, and the state after."""
        prediction, _, state = self.positions_with_outputs(ids, state)
        return prediction, state

    def positions_with_outputs(
        self, ids: np.ndarray, state: RuntimeState
    ) -> tuple[Prediction, np.ndarray, RuntimeState]:
        """Do the same, and give the outputs (1, n, E) by which each was predicted."""
        _, outputs, state = self.score_with_outputs(ids, state)
        return self._head.prediction(outputs[0]), outputs, state

    def outputs(self, state: RuntimeState) -> np.ndarray:
        """Give the outputs (S, E) by which the next id is predicted."""
        return state.output

    def pack(self, state: RuntimeState) -> list[np.ndarray]:
        """Give a state as arrays with a row for each stream: hidden states, then outputs."""
        return [*state.hidden, state.output]

    def unpack(self, arrays: Sequence[np.ndarray]) -> RuntimeState:
        """Make a state of what `pack` gave, here or in PyTorch."""
        return RuntimeState(tuple(arrays[:-1]), arrays[-1])

    def _scored(
        self, ids: np.ndarray, state: RuntimeState
    ) -> Iterator[tuple[np.ndarray, np.ndarray, RuntimeState]]:
        """Score piece by piece: nats (S, n), the outputs before (S, n, E), the state after."""
        width = max(1, CHUNK_NUMBERS // (len(ids) * self.vocab_size))
        for start in range(0, ids.shape[1], width):
            part, outputs = ids[:, start : start + width], []
            for step in range(part.shape[1]):
                outputs.append(state.output)
                state = self._read(part[:, step], state.hidden)
            stacked = np.concatenate(outputs)  # (n S, E)
            nats = -self._head.prediction(stacked).of(part.T.ravel())
            before = stacked.reshape(*part.T.shape, -1).swapaxes(0, 1)
            yield nats.reshape(part.T.shape).T, before, state

    def select(self, state: RuntimeState, streams: Sequence[int] | np.ndarray) -> RuntimeState:
        """Take some streams of a state, in the order given."""
        index = np.asarray(streams, dtype=np.int64)
        return RuntimeState(tuple(array[index] for array in state.hidden), state.output[index])

    def stack(self, states: Sequence[RuntimeState]) -> RuntimeState:
        """Put the streams of several states one after the other."""
        hidden = zip(*(state.hidden for state in states), strict=True)
        outputs = [state.output for state in states]
        return RuntimeState(tuple(map(np.concatenate, hidden)), np.concatenate(outputs))

    def _read(self, ids: np.ndarray, hidden: Hidden) -> RuntimeState:
        """Read one id in each stream."""
        if self._table is not None:
            inputs = self._table[ids]
        else:
            inputs = self._layers[0].inputs(self._embedding[ids])
        after: list[np.ndarray] = []
        per_layer = len(hidden) // len(self._layers)
        for number, layer in enumerate(self._layers):
            if number:
                inputs = layer.inputs(after[-per_layer])
            own = hidden[number * per_layer : (number + 1) * per_layer]
            after.extend(layer.step(inputs, own))
        output = after[-per_layer]
        if self._projection is not None:
            output = output @ self._projection[0] + self._projection[1]
        return RuntimeState(tuple(after), output)
