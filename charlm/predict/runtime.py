"""The network as a Predictor in NumPy alone: small, and there at once where PyTorch takes seconds.

It is meant for a token at a time; long texts are scored faster by `charlm.predict.neural`.
Legend: S streams, N ids of each, E embedding, H hidden units, G gates, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from charlm.model.shape import GATES, NetworkConfig
from charlm.predict.clustered import ClusteredPrediction
from charlm.predict.predictor import DensePrediction, Prediction

MAX_TABLE = 1 << 22  # numbers in the table of the first layer's inputs
CHUNK_NUMBERS = 1 << 22  # logits held at a time

Hidden = tuple[np.ndarray, ...]


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
        self._layers = [_Layer(config, weights, number) for number in range(config.num_layers)]
        self._projection = None
        if config.projects:
            self._projection = (weights["projection.weight"].T, weights["projection.bias"])
        self._head = _head_of(config, weights)
        self._table: np.ndarray | None = None
        if config.vocab_size * GATES[config.cell] * config.hidden_size <= MAX_TABLE:
            self._table = self._layers[0].inputs(self._embedding)  # (V, G·H)

    def start(self, streams: int) -> RuntimeState:
        """Give the state of S streams that have read nothing but the boundary."""
        per_layer = 2 if self._config.cell == "lstm" else 1
        zeros = np.zeros((streams, self._config.hidden_size), dtype=np.float32)
        hidden = (zeros,) * (per_layer * self._config.num_layers)
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


class _Layer:
    """One layer's weights and its step; PyTorch's gate order."""

    def __init__(self, config: NetworkConfig, weights: dict[str, np.ndarray], number: int) -> None:
        prefix = f"stack.layers.{number}."
        self._weight_ih = weights[prefix + "weight_ih"].T
        self._weight_hh = weights[prefix + "weight_hh"].T
        self._bias_ih, self._bias_hh = weights[prefix + "bias_ih"], weights[prefix + "bias_hh"]
        self._relu = config.nonlinearity == "relu"
        self.step = {"lstm": self._lstm, "gru": self._gru, "rnn": self._rnn}[config.cell]

    def inputs(self, values: np.ndarray) -> np.ndarray:
        """Weigh inputs (S, I) for all gates, (S, G·H)."""
        weighed: np.ndarray = values @ self._weight_ih + self._bias_ih
        return weighed

    def _lstm(self, inputs: np.ndarray, hidden: Hidden) -> Hidden:
        """i, f, o = sigmoid, g = tanh; c' = f c + i g; h' = o tanh(c')."""
        gates = inputs + hidden[0] @ self._weight_hh + self._bias_hh
        i, f, g, o = np.split(gates, 4, axis=1)
        memory = _sigmoid(f) * hidden[1] + _sigmoid(i) * np.tanh(g)
        return _sigmoid(o) * np.tanh(memory), memory

    def _gru(self, inputs: np.ndarray, hidden: Hidden) -> Hidden:
        """r, z = sigmoid; n = tanh(x + r (W h + b)); h' = (1 - z) n + z h."""
        recurrent = hidden[0] @ self._weight_hh + self._bias_hh
        input_r, input_z, input_n = np.split(inputs, 3, axis=1)
        hidden_r, hidden_z, hidden_n = np.split(recurrent, 3, axis=1)
        z = _sigmoid(input_z + hidden_z)
        n = np.tanh(input_n + _sigmoid(input_r + hidden_r) * hidden_n)
        return ((1 - z) * n + z * hidden[0],)

    def _rnn(self, inputs: np.ndarray, hidden: Hidden) -> Hidden:
        """h' = tanh or relu of x + W h + b."""
        sums = inputs + hidden[0] @ self._weight_hh + self._bias_hh
        return (np.maximum(sums, 0) if self._relu else np.tanh(sums),)


class _Head:
    """A linear layer and a softmax."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        self._weight, self._bias = weight.T, bias

    def log_probs(self, outputs: np.ndarray) -> np.ndarray:
        """Give log p of every id: (S, E) -> (S, V)."""
        return _log_softmax(outputs @ self._weight + self._bias)

    def prediction(self, outputs: np.ndarray) -> Prediction:
        """Predict from outputs (S, E)."""
        return DensePrediction(self.log_probs(outputs))


class _AdaptiveHead:
    """A softmax in two levels: of a shortlist's words and clusters, and of each cluster's words."""

    def __init__(self, first: _Head, inner: list[_Head], bounds: list[tuple[int, int]]) -> None:
        self._first, self._inner, self._bounds = first, inner, bounds

    def prediction(self, outputs: np.ndarray) -> Prediction:
        """Predict from outputs (S, E)."""

        def inside(number: int, rows: np.ndarray) -> np.ndarray:
            return self._inner[number].log_probs(outputs[rows])

        return ClusteredPrediction(self._first.log_probs(outputs), self._bounds, inside)


def _head_of(config: NetworkConfig, weights: dict[str, np.ndarray]) -> _Head | _AdaptiveHead:
    """Give the head of a network, by its weights."""
    weight = weights["embedding" if config.tie_weights else "head.weight"]
    bias = weights["head.bias"]
    if not config.cutoffs:
        return _Head(weight, bias)
    shortlist = config.cutoffs[0]
    first = _Head(
        np.concatenate([weight[:shortlist], weights["head.cluster_weight"]]),
        np.concatenate([bias[:shortlist], weights["head.cluster_bias"]]),
    )
    inner = [_Head(weight[start:end], bias[start:end]) for start, end in config.clusters]
    return _AdaptiveHead(first, inner, config.clusters)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    """Compute 1 / (1 + exp(-x)) by the tanh, which never overflows."""
    half: np.ndarray = 0.5 * np.tanh(0.5 * values) + 0.5
    return half


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """Normalise over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    normal: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return normal
