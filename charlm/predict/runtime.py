"""The network as a Predictor in NumPy alone: small, and there at once where PyTorch takes seconds.

It is meant for a token at a time; long texts are scored faster by `charlm.predict.neural`. What it
does is tabulated, folded and joined beforehand as far as can be (`charlm.predict.runtime_cells`);
where numba is installed and it pays, a step is one compiled function
(`charlm.predict.runtime_compiled`), and NumPy stays what that is tested against.
Legend: S streams, N ids of each, E size of the outputs, H hidden units, G gates, V vocabulary,
M numbers of a stream's state.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from charlm.errors import UsageError
from charlm.model.rows import Weight, plain_weights
from charlm.model.shape import GATES, NetworkConfig
from charlm.predict.predictor import Prediction, checked_ids
from charlm.predict.runtime_cells import layer_of
from charlm.predict.runtime_heads import FEW_BYTES, Head, few, head_of

if TYPE_CHECKING:
    from charlm.predict.runtime_compiled import CompiledSteps

MAX_TABLE = 1 << 22  # numbers in the table of the first layer's inputs
CHUNK_NUMBERS = 1 << 22  # logits held at a time
PATIENCE = 10_000  # steps by NumPy, which take longer than loading numba does


class RuntimeState(NamedTuple):
    """What a network has read: a row for each stream, (S, M), of hidden states, then the output.

    Without a projection the output is the last layer's h, and stands there only once.
    """

    numbers: np.ndarray


class RuntimePredictor:
    """Predicts with the weights of a `LanguageNetwork`, by name, in float32 or rows of int8.

    compiled: whether streams are read by compiled functions, which numba, the extra `fast`,
    makes: True from the beginning, False never. None where it pays: after PATIENCE steps by NumPy,
    which took longer than loading numba does. Both give the same to some roundings.
    """

    def __init__(
        self,
        config: NetworkConfig,
        weights: Mapping[str, Weight],
        boundary_id: int,
        compiled: bool | None = None,
    ) -> None:
        self._head = head_of(config, weights)
        self._stored: Mapping[str, Weight] | None = weights
        self._few = few(weights["embedding"])
        weights = plain_weights(weights)
        self.vocab_size = config.vocab_size
        self.boundary_id = boundary_id
        self._config = config
        edges = list(accumulate(config.state_sizes, initial=0))
        self._places = [slice(start, end) for start, end in pairwise(edges)]
        parts = len(self._places) // config.num_layers
        own = [self._places[start : start + parts] for start in range(0, edges[-1], parts)]
        self._layers = [
            layer_of(config, weights, number, own[number]) for number in range(config.num_layers)
        ]
        self._outputs = self._places[-parts]  # the last layer's h
        self._width = edges[-1]
        self._projection = None
        if config.projects:
            linear = Head(weights["projection.weight"], weights["projection.bias"])
            self._projection = (self._outputs, linear)
            self._width += config.head_size
            self._outputs = slice(edges[-1], self._width)
        self._embedding = weights["embedding"]
        self._table: np.ndarray | None = None
        if config.vocab_size * GATES[config.cell] * self._layers[0].units <= MAX_TABLE:
            self._table = self._layers[0].table(self._embedding)  # (V, G·H)
        self._steps: CompiledSteps | None = None
        self._to_wait = PATIENCE if compiled is None and find_spec("numba") else 0
        if compiled:
            self.compile()
        elif not self._to_wait:
            self._stored = None

    @property
    def compiled(self) -> bool:
        """Tell whether streams are read by compiled functions."""
        return self._steps is not None

    def compile(self) -> None:
        """Read streams by compiled functions from now on; raise UsageError without numba.

        It takes some tenths of a second to load, and, once on a machine, some seconds to compile;
        for several streams, and for drawing, when they are first read or drawn.
        """
        stored = self._stored
        if stored is None:
            return
        try:
            from charlm.predict.runtime_compiled import CompiledSteps
        except Exception as fault:  # it is not there, or does not fit what is
            raise UsageError(
                f"the compiled way to read needs the package numba: {fault}",
                "pip install 'charlm-toolkit[fast]'",
            ) from fault
        self._to_wait = 0
        self._head.compile()
        if self._projection is not None:
            self._projection[1].compile()
        if not self._config.mogrifier:
            tabulated = self._table is not None
            table = self._embedding if self._table is None else self._table
            self._steps = CompiledSteps(
                self._config, stored, self._layers, table, tabulated, self._few
            )
        self._stored = None

    def compile_all(self) -> None:
        """Compile now what any number of streams is read and drawn by; nothing without numba.

        Whose clients may not be kept waiting later, as those of a server, does it when it starts.
        """
        with contextlib.suppress(UsageError, ImportError):
            self.compile()
            from charlm.predict.runtime_compiled import draw_compiled

            for streams in (1, FEW_BYTES + 1):
                prediction = self.prediction(self.start(streams))
                draw_compiled(prediction.log_probs(), (1.0, 0), np.zeros(streams))

    def start(self, streams: int) -> RuntimeState:
        """Give the state of S streams that have read nothing but the boundary."""
        nothing = np.zeros((streams, self._width), dtype=np.float32)
        return RuntimeState(self._read(np.full(streams, self.boundary_id), nothing))

    def prediction(self, state: RuntimeState) -> Prediction:
        """Predict what comes next, without reading."""
        return self._head.prediction(self.outputs(state))

    def step(self, ids: np.ndarray, state: RuntimeState) -> tuple[Prediction, RuntimeState]:
        """Read one id in each stream, (S,); predict what comes after it."""
        after = self._read(checked_ids(ids, self.vocab_size), state.numbers)
        return self._head.prediction(after[:, self._outputs]), RuntimeState(after)

    def score(self, ids: np.ndarray, state: RuntimeState) -> tuple[np.ndarray, RuntimeState]:
        """Read ids (S, N); give -log p of each where it stands, (S, N) float32 nats."""
        pieces: list[np.ndarray] = [np.zeros((len(ids), 0), dtype=np.float32)]
        for nats, _, after in self._scored(ids, state):
            pieces.append(nats)
            state = after
        return np.concatenate(pieces, axis=1), state

    def read(self, ids: np.ndarray, state: RuntimeState) -> RuntimeState:
        """Read ids (S, N) without a look at what is said of them."""
        for column in checked_ids(ids, self.vocab_size).T:
            state = RuntimeState(self._read(column, state.numbers))
        return state

    def score_with_outputs(
        self, ids: np.ndarray, state: RuntimeState
    ) -> tuple[np.ndarray, np.ndarray, RuntimeState]:
        """Score ids (S, N), and give the outputs (S, N, E) by which each was predicted."""
        empty = self.outputs(state)[:, None][:, :0]
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
        return state.numbers[:, self._outputs]

    def pack(self, state: RuntimeState) -> list[np.ndarray]:
        """Give a state as arrays with a row for each stream: hidden states, then outputs."""
        return [state.numbers[:, each] for each in (*self._places, self._outputs)]

    def unpack(self, arrays: Sequence[np.ndarray]) -> RuntimeState:
        """Make a state of what `pack` gave, here or in PyTorch."""
        own = arrays if self._projection is not None else arrays[:-1]
        return RuntimeState(np.concatenate(own, axis=1))

    def _scored(
        self, ids: np.ndarray, state: RuntimeState
    ) -> Iterator[tuple[np.ndarray, np.ndarray, RuntimeState]]:
        """Score piece by piece: nats (S, n), the outputs before (S, n, E), the state after."""
        ids = checked_ids(ids, self.vocab_size)
        width = max(1, CHUNK_NUMBERS // (len(ids) * self.vocab_size))
        for start in range(0, ids.shape[1], width):
            part, outputs = ids[:, start : start + width], []
            for step in range(part.shape[1]):
                outputs.append(self.outputs(state))
                state = RuntimeState(self._read(part[:, step], state.numbers))
            stacked = np.concatenate(outputs)  # (n S, E)
            nats = -self._head.prediction(stacked).of(part.T.ravel())
            before = stacked.reshape(*part.T.shape, -1).swapaxes(0, 1)
            yield nats.reshape(part.T.shape).T, before, state

    def select(self, state: RuntimeState, streams: Sequence[int] | np.ndarray) -> RuntimeState:
        """Take some streams of a state, in the order given."""
        index = np.asarray(streams, dtype=np.int64)
        return RuntimeState(state.numbers[index])

    def stack(self, states: Sequence[RuntimeState]) -> RuntimeState:
        """Put the streams of several states one after the other."""
        return RuntimeState(np.concatenate([state.numbers for state in states]))

    def _read(self, ids: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Read one id in each stream; give the numbers of the next state, in fresh memory."""
        after = np.empty(before.shape, dtype=np.float32)
        if self._read_compiled(ids, before, after):
            return after
        first, *others = self._layers
        if self._table is not None:
            first.step_weighed(self._table[ids], before, after)
        else:
            first.step(self._embedding[ids], before, after)
        below = first
        for layer in others:
            layer.step(after[:, below.h], before, after)
            below = layer
        self._project(after)
        return after

    def _read_compiled(self, ids: np.ndarray, before: np.ndarray, after: np.ndarray) -> bool:
        """Read by the compiled functions, if they are there, or their time has come."""
        if self._to_wait:
            self._to_wait -= 1
            if not self._to_wait:
                with contextlib.suppress(UsageError):  # a numba that does not fit what is here
                    self.compile()
        if self._steps is None:
            return False
        self._steps.read(ids, before, after)
        self._project(after)
        return True

    def _project(self, after: np.ndarray) -> None:
        """Fill the outputs of states, where a projection makes them."""
        if self._projection is not None:
            last, linear = self._projection
            after[:, self._outputs] = linear.logits(after[:, last])
