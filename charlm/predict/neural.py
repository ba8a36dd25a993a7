"""The torch network as a Predictor, on whatever device it lives.

Legend: S streams, N ids of each, E size of what the head takes, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from charlm.model.adaptive import AdaptiveHead
from charlm.model.network import LanguageNetwork
from charlm.model.state import State as HiddenState
from charlm.model.state import select_state, stack_states
from charlm.predict.clustered import ClusteredPrediction
from charlm.predict.drawn_tensors import sent
from charlm.predict.predictor import Prediction, checked_ids
from charlm.predict.segments import can_be_cut, score_in_segments
from charlm.predict.tensors import TensorPrediction

WINDOW = 512  # ids of a stream read at a time,
NUMBERS = 1 << 22  # if all streams' outputs are no more numbers than that


@dataclass(frozen=True)
class NeuralState:
    """What a network has read: its hidden state, and its output (S, E), which predicts the next."""

    hidden: HiddenState
    output: Tensor


class NeuralPredictor:
    """Predicts with a `LanguageNetwork`, in float32 and without dropout."""

    def __init__(self, network: LanguageNetwork, boundary_id: int) -> None:
        self.network = network.eval()
        self.vocab_size = network.config.vocab_size
        self.boundary_id = boundary_id
        self.device = next(network.parameters()).device

    @torch.inference_mode()
    def start(self, streams: int) -> NeuralState:
        """Give the state of S streams that have read nothing but the boundary."""
        ids = np.full((streams, 1), self.boundary_id)
        return self._read(ids, self.network.initial_state(streams))[1]

    def prediction(self, state: NeuralState) -> Prediction:
        """Predict what comes next, without reading."""
        return self._at(state.output)

    def positions(self, ids: np.ndarray, state: NeuralState) -> tuple[Prediction, NeuralState]:
        """Give what is predicted at each of ids (1, n), as n streams, and the state after."""
        prediction, _, state = self.positions_with_outputs(ids, state)
        return prediction, state

    def positions_with_outputs(
        self, ids: np.ndarray, state: NeuralState
    ) -> tuple[Prediction, np.ndarray, NeuralState]:
        """Do the same, and give the outputs (1, n, E) by which each was predicted."""
        _, outputs, state = self.score_with_outputs(ids, state)
        return self._at(torch.from_numpy(outputs[0]).to(self.device)), outputs, state

    @torch.inference_mode()
    def _at(self, output: Tensor) -> Prediction:
        """Give what outputs (S, E) predict; a GPU makes all words of a head in levels at once."""
        head = self.network.head
        if not isinstance(head, AdaptiveHead) or self.device.type != "cpu":
            return TensorPrediction(head.log_probs(output))

        @torch.inference_mode()
        def inside(number: int, rows: np.ndarray) -> np.ndarray:
            own = output.index_select(0, self._tensor(rows))
            array: np.ndarray = head.inner_log_probs(number, own).cpu().numpy()
            return array

        first: np.ndarray = head.first_log_probs(output).cpu().numpy()
        return ClusteredPrediction(lambda: first, head.bounds, inside)

    @torch.inference_mode()
    def step(self, ids: np.ndarray, state: NeuralState) -> tuple[Prediction, NeuralState]:
        """Read one id in each stream, (S,); predict what comes after it."""
        ids = checked_ids(ids, self.vocab_size)
        after = self._read(ids[:, None], state.hidden)[1]
        return self.prediction(after), after

    def score(self, ids: np.ndarray, state: NeuralState) -> tuple[np.ndarray, NeuralState]:
        """Read ids (S, N); give -log p of each where it stands, (S, N) float32 nats."""
        if can_be_cut(ids):
            return score_in_segments(self, ids, state)
        return self.score_in_order(ids, state)

    def score_in_order(self, ids: np.ndarray, state: NeuralState) -> tuple[np.ndarray, NeuralState]:
        """Do the same one id of each stream after the other: what `score` means."""
        pieces = [np.zeros((len(ids), 0), dtype=np.float32)]
        for nats, _, after in self._scored(ids, state):
            pieces.append(nats.cpu().numpy())
            state = after
        return np.concatenate(pieces, axis=1), state

    def score_with_outputs(
        self, ids: np.ndarray, state: NeuralState
    ) -> tuple[np.ndarray, np.ndarray, NeuralState]:
        """Score ids (S, N), and give the outputs (S, N, E) by which each was predicted."""
        way = _WithOutputs(self)
        score = score_in_segments if can_be_cut(ids) else _WithOutputs.score_in_order
        both, state = score(way, ids, state)
        return both[..., 0], both[..., 1:], state

    @torch.inference_mode()
    def _scored(
        self, ids: np.ndarray, state: NeuralState
    ) -> Iterator[tuple[Tensor, Tensor, NeuralState]]:
        """Score piece by piece: nats (S, n), the outputs before (S, n, E), the state after."""
        for part in self._windows(ids):
            outputs, after = self._read(part, state.hidden)  # (S, n, E)
            before = torch.cat([state.output[:, None], outputs[:, :-1]], dim=1)
            targets = self._tensor(part).flatten()
            nats = self.network.head.nats(before.flatten(0, 1), targets)
            yield nats.view(part.shape), before, after
            state = after

    def outputs(self, state: NeuralState) -> np.ndarray:
        """Give the outputs (S, E) by which the next id is predicted."""
        array: np.ndarray = state.output.cpu().numpy()
        return array

    def pack(self, state: NeuralState) -> list[np.ndarray]:
        """Give a state as arrays with a row for each stream: hidden states, then outputs."""
        return [each.cpu().numpy() for each in (*state.hidden, state.output)]

    def unpack(self, arrays: Sequence[np.ndarray]) -> NeuralState:
        """Make a state of what `pack` gave, here or in the runtime."""
        *hidden, output = (torch.from_numpy(array.copy()).to(self.device) for array in arrays)
        return NeuralState(tuple(hidden), output)

    @torch.inference_mode()
    def read_in_order(self, ids: np.ndarray, state: NeuralState) -> NeuralState:
        """Read ids (S, N) without a look at their probabilities; give the state after."""
        for part in self._windows(ids):
            _, state = self._read(part, state.hidden)
        return state

    @torch.inference_mode()
    def roundings_apart(self, first: NeuralState, second: NeuralState) -> np.ndarray:
        """Give the largest difference of each stream's states, (S,), in roundings of their type."""
        pairs = zip((*first.hidden, first.output), (*second.hidden, second.output), strict=True)
        each = [((a - b).abs() / a.abs().clamp(min=1)).amax(dim=1) for a, b in pairs]
        largest = torch.stack(each).amax(dim=0) / torch.finfo(first.output.dtype).eps
        array: np.ndarray = largest.cpu().numpy()
        return array

    def select(self, state: NeuralState, streams: Sequence[int] | np.ndarray) -> NeuralState:
        """Take some streams of a state, in the order given."""
        index = self._tensor(np.asarray(streams))
        return NeuralState(select_state(state.hidden, index), state.output.index_select(0, index))

    def stack(self, states: Sequence[NeuralState]) -> NeuralState:
        """Put the streams of several states one after the other."""
        hidden = stack_states([state.hidden for state in states])
        return NeuralState(hidden, torch.cat([state.output for state in states]))

    def _windows(self, ids: np.ndarray) -> Iterator[np.ndarray]:
        """Cut ids (S, N) into pieces whose hidden states take little memory."""
        ids = checked_ids(ids, self.vocab_size)
        numbers = len(ids) * max(self.network.config.state_sizes)
        width = max(1, min(WINDOW, NUMBERS // numbers))
        for start in range(0, ids.shape[1], width):
            yield ids[:, start : start + width]

    def _read(self, ids: np.ndarray, hidden: HiddenState) -> tuple[Tensor, NeuralState]:
        """Read ids (S, n); give all outputs (S, n, E) and the state after the last."""
        outputs, hidden = self.network(self._tensor(ids), hidden)
        return outputs, NeuralState(hidden, outputs[:, -1])

    def _tensor(self, ids: np.ndarray) -> Tensor:
        (there,) = sent([np.asarray(ids, dtype=np.int64)], self.device)
        return there


class _WithOutputs:
    """A predictor as `score_in_segments` uses it, with outputs behind the nats: (S, N, 1 + E)."""

    def __init__(self, predictor: NeuralPredictor) -> None:
        self._predictor = predictor
        self.start, self.select, self.stack = predictor.start, predictor.select, predictor.stack
        self.read_in_order = predictor.read_in_order
        self.roundings_apart = predictor.roundings_apart

    def score_in_order(self, ids: np.ndarray, state: NeuralState) -> tuple[np.ndarray, NeuralState]:
        """Score id after id."""
        width = 1 + state.output.shape[1]
        pieces = [np.zeros((len(ids), 0, width), dtype=np.float32)]
        for nats, outputs, after in self._predictor._scored(ids, state):
            pieces.append(torch.cat([nats[..., None], outputs], dim=2).cpu().numpy())
            state = after
        return np.concatenate(pieces, axis=1), state
