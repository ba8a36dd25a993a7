"""The recurrent layers of `charlm.predict.runtime`, a step at a time, in NumPy.

Operations on a few hundred numbers cost mostly their call, so a step makes few of them, on memory
that is there: both biases are added at once, an input and a state are multiplied as one row where
the cell permits, and a sigmoid is 1/2 tanh(x/2) + 1/2 whose halves are in the weights, so that one
tanh serves all gates. Products are laid out with inputs as rows and gates as columns, which
multiplies one stream as fast as many (`charlm.predict.products`).
Legend: S streams, I inputs, H hidden units, G gates (4 LSTM, 3 GRU, 1 RNN).
"""

import threading
from collections.abc import Callable
from typing import overload

import numpy as np

from charlm.model.rows import Int8Rows, Weight
from charlm.model.shape import GATES, NetworkConfig
from charlm.predict.products import times

HALF = np.float32(0.5)


class Layer:
    """One layer's weights and its step.

    A step reads what is its own of a state (S, N) and fills the same places of the next one.

    places: of h in a state, and of an LSTM's c

    Its matrices are `of_inputs`, (I, G·H), and `of_state`, (H, G·H).
    """

    def __init__(
        self,
        config: NetworkConfig,
        weights: dict[str, np.ndarray],
        number: int,
        places: list[slice],
    ) -> None:
        prefix = f"stack.layers.{number}."
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        of_inputs, of_state, bias, state_bias = (weights[prefix + name] for name in names)
        self.size, self.units = of_inputs.shape[1], of_state.shape[1]
        self.h, self.c = places[0], places[-1]
        self._relu = config.nonlinearity == "relu"
        self.of_inputs = np.ascontiguousarray(arranged(of_inputs, config.cell).T)  # (I, G·H)
        self.of_state = np.ascontiguousarray(arranged(of_state, config.cell).T)  # (H, G·H)
        self.bias = arranged((bias + state_bias)[:, None], config.cell)[:, 0]
        self.candidate_bias = np.zeros(self.units, dtype=np.float32)
        self._joined = config.cell != "gru"
        if self._joined:
            self._of_both = np.concatenate([self.of_inputs, self.of_state])  # (I + H, G·H)
            self.of_inputs = self._of_both[: self.size]
            self.of_state = self._of_both[self.size :]
        else:  # the candidate's second bias is multiplied by r before it is added
            last = slice(2 * self.units, None)
            self.bias[last], self.candidate_bias = bias[last], state_bias[last]
        self._rooms = Rooms(lambda streams: Room(streams, self.size, self.units, config.cell))
        self._finish = {"lstm": self._lstm, "gru": self._gru, "rnn": self._rnn}[config.cell]

    def table(self, embedding: np.ndarray) -> np.ndarray | None:
        """Give what `step` takes for each id, (V, G·H), if it can be known; embedding (V, I)."""
        table: np.ndarray = embedding @ self.of_inputs
        table += self.bias
        return table

    def step_weighed(self, weighed: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """Take a step by a row of the table for each stream, (S, G·H)."""
        room = self._rooms.of(len(before))
        times(before[:, self.h], self.of_state, room.gates)
        if self._joined:
            np.add(room.gates, weighed, out=room.gates)
        else:
            room.inputs[...] = weighed
        self._finish(room, before, after)

    def step(self, inputs: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """Take a step by inputs (S, I)."""
        self._step(inputs, before[:, self.h], before, after)

    def _step(
        self, inputs: np.ndarray, state: np.ndarray, before: np.ndarray, after: np.ndarray
    ) -> None:
        room = self._rooms.of(len(before))
        if self._joined:
            np.concatenate((inputs, state), axis=1, out=room.both)
            times(room.both, self._of_both, room.gates)
            np.add(room.gates, self.bias, out=room.gates)
        else:
            times(inputs, self.of_inputs, room.inputs)
            np.add(room.inputs, self.bias, out=room.inputs)
            times(state, self.of_state, room.gates)
        self._finish(room, before, after)

    def _lstm(self, room: "Room", before: np.ndarray, after: np.ndarray) -> None:
        """i, f, o = sigmoid, g = tanh; c' = f c + i g; h' = o tanh(c')."""
        np.tanh(room.gates, out=room.gates)
        np.multiply(room.sigmoids, HALF, out=room.sigmoids)
        np.add(room.sigmoids, HALF, out=room.sigmoids)
        i, f, o, g = room.parts
        memory = after[:, self.c]
        np.multiply(f, before[:, self.c], out=memory)
        np.multiply(i, g, out=i)
        np.add(memory, i, out=memory)
        np.tanh(memory, out=g)
        np.multiply(o, g, out=after[:, self.h])

    def _gru(self, room: "Room", before: np.ndarray, after: np.ndarray) -> None:
        """r, z = sigmoid; n = tanh(x + r (W h + b)); h' = n + z (h - n)."""
        np.add(room.sigmoids, room.input_sigmoids, out=room.sigmoids)
        np.tanh(room.sigmoids, out=room.sigmoids)
        np.multiply(room.sigmoids, HALF, out=room.sigmoids)
        np.add(room.sigmoids, HALF, out=room.sigmoids)
        r, z, n = room.parts
        np.add(n, self.candidate_bias, out=n)
        np.multiply(n, r, out=n)
        np.add(n, room.input_candidate, out=n)
        np.tanh(n, out=n)
        np.subtract(before[:, self.h], n, out=r)
        np.multiply(r, z, out=r)
        np.add(n, r, out=after[:, self.h])

    def _rnn(self, room: "Room", before: np.ndarray, after: np.ndarray) -> None:
        """h' = tanh or relu of x + W h + b."""
        if self._relu:
            np.maximum(room.gates, 0, out=after[:, self.h])
        else:
            np.tanh(room.gates, out=after[:, self.h])


class MogrifierLayer(Layer):
    """An LSTM whose input and state gate each other first, as in `charlm.model.mogrifier`."""

    def __init__(
        self,
        config: NetworkConfig,
        weights: dict[str, np.ndarray],
        number: int,
        places: list[slice],
    ) -> None:
        super().__init__(config, weights, number, places)
        names = ("right", "left") if config.mogrifier_rank else ("weight",)
        prefix = f"stack.layers.{number}.mogrifier.rounds."
        self._rounds = [
            [np.ascontiguousarray(weights[f"{prefix}{count}.{name}"].T) for name in names]
            for count in range(config.mogrifier)
        ]

    def table(self, embedding: np.ndarray) -> np.ndarray | None:
        """Give nothing: the state has a say before inputs are weighed."""
        return None

    def step(self, inputs: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """x = 2 sigmoid(Q h) x and h = 2 sigmoid(R x) h in turn; then the LSTM's step."""
        state = before[:, self.h]
        for number, matrices in enumerate(self._rounds):
            if number % 2 == 0:
                inputs = inputs * _gate(state, matrices)
            else:
                state = state * _gate(inputs, matrices)
        self._step(inputs, state, before, after)


class Room:
    """Memory for one step of S streams, and views of its parts."""

    def __init__(self, streams: int, size: int, units: int, cell: str) -> None:
        gates = GATES[cell]
        self.gates = np.empty((streams, gates * units), dtype=np.float32)
        self.parts = [self.gates[:, part * units : (part + 1) * units] for part in range(gates)]
        last = _sigmoids(cell) * units
        self.sigmoids = self.gates[:, :last]
        if cell == "gru":
            self.inputs = np.empty_like(self.gates)
            self.input_sigmoids, self.input_candidate = self.inputs[:, :last], self.inputs[:, last:]
        else:
            self.both = np.empty((streams, size + units), dtype=np.float32)


class Rooms(threading.local):
    """Each thread's own memory, for as many streams as it read last."""

    def __init__(self, make: Callable[[int], Room]) -> None:
        self._make, self._streams = make, 0

    def of(self, streams: int) -> Room:
        """Give the memory for so many streams."""
        if streams != self._streams:
            self._room, self._streams = self._make(streams), streams
        return self._room


def layer_of(
    config: NetworkConfig, weights: dict[str, np.ndarray], number: int, places: list[slice]
) -> Layer:
    """Give a layer of a network, by its weights and the places of its state."""
    kind = MogrifierLayer if config.mogrifier else Layer
    return kind(config, weights, number, places)


@overload
def arranged(weight: np.ndarray, cell: str) -> np.ndarray: ...
@overload
def arranged(weight: Weight, cell: str) -> Weight: ...
def arranged(weight: Weight, cell: str) -> Weight:
    """Give the rows of a weight (G·H, n) in our order, those of sigmoids halved.

    Sigmoids come first: of an LSTM's gates i, f, o, g, where PyTorch has i, f, g, o.
    """
    units = weight.shape[0] // GATES[cell]
    gates = [0, 1, 3, 2] if cell == "lstm" else range(GATES[cell])
    order = np.concatenate([np.arange(units) + gate * units for gate in gates])
    halves = np.ones(len(order), dtype=np.float32)
    halves[: _sigmoids(cell) * units] = HALF
    if isinstance(weight, Int8Rows):
        return Int8Rows(weight.numbers[order], weight.scales[order] * halves)
    return np.asarray(weight[order] * halves[:, None])


def _sigmoids(cell: str) -> int:
    """Count the gates that are sigmoids."""
    return GATES[cell] - 1


def _gate(values: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    """Give 2 sigmoid of what matrices, one after the other, make of values."""
    for matrix in matrices:
        values = values @ matrix
    return 1 + np.tanh(HALF * values)
