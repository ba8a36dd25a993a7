"""The recurrent layers of `charlm.predict.runtime`, a step at a time, in NumPy.

Legend: S streams, I inputs, H hidden units, G gates (4 LSTM, 3 GRU, 1 RNN).
"""

import numpy as np

from charlm.model.shape import NetworkConfig

Hidden = tuple[np.ndarray, ...]


class Layer:
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
        memory = sigmoid(f) * hidden[1] + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(memory), memory

    def _gru(self, inputs: np.ndarray, hidden: Hidden) -> Hidden:
        """r, z = sigmoid; n = tanh(x + r (W h + b)); h' = (1 - z) n + z h."""
        recurrent = hidden[0] @ self._weight_hh + self._bias_hh
        input_r, input_z, input_n = np.split(inputs, 3, axis=1)
        hidden_r, hidden_z, hidden_n = np.split(recurrent, 3, axis=1)
        z = sigmoid(input_z + hidden_z)
        n = np.tanh(input_n + sigmoid(input_r + hidden_r) * hidden_n)
        return ((1 - z) * n + z * hidden[0],)

    def _rnn(self, inputs: np.ndarray, hidden: Hidden) -> Hidden:
        """h' = tanh or relu of x + W h + b."""
        sums = inputs + hidden[0] @ self._weight_hh + self._bias_hh
        return (np.maximum(sums, 0) if self._relu else np.tanh(sums),)


class MogrifierLayer(Layer):
    """An LSTM whose input and state gate each other first, as in `charlm.model.mogrifier`."""

    def __init__(self, config: NetworkConfig, weights: dict[str, np.ndarray], number: int) -> None:
        super().__init__(config, weights, number)
        names = ("right", "left") if config.mogrifier_rank else ("weight",)
        prefix = f"stack.layers.{number}.mogrifier.rounds."
        self._rounds = [
            [weights[f"{prefix}{count}.{name}"].T for name in names]
            for count in range(config.mogrifier)
        ]
        self.step = self._mogrified

    def inputs(self, values: np.ndarray) -> np.ndarray:
        """Leave inputs (S, I) as they are: the state has a say before they are weighed."""
        return values

    def _mogrified(self, inputs: np.ndarray, hidden: Hidden) -> Hidden:
        """x = 2 sigmoid(Q h) x and h = 2 sigmoid(R x) h in turn; then the LSTM's step."""
        state, memory = hidden
        for number, matrices in enumerate(self._rounds):
            if number % 2 == 0:
                inputs = inputs * _gate(state, matrices)
            else:
                state = state * _gate(inputs, matrices)
        return self._lstm(super().inputs(inputs), (state, memory))


def layer_of(config: NetworkConfig, weights: dict[str, np.ndarray], number: int) -> Layer:
    """Give a layer of a network, by its weights."""
    return (MogrifierLayer if config.mogrifier else Layer)(config, weights, number)


def _gate(values: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    """Give 2 sigmoid of what matrices, one after the other, make of values."""
    for matrix in matrices:
        values = values @ matrix
    return 2 * sigmoid(values)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Compute 1 / (1 + exp(-x)) by the tanh, which never overflows."""
    half: np.ndarray = 0.5 * np.tanh(0.5 * values) + 0.5
    return half
