"""A network that goes on learning as it reads: dynamic evaluation.

What was read is cut into segments; after each, the weights take a step against the gradient of its
nats, and a step back towards those they were trained to. Every id is predicted before anything is
learned from it. Krause et al. 2018, "Dynamic Evaluation of Neural Sequence Models" (arXiv
1709.07432), equations 4 to 8; Mikolov et al. 2010 did it first.

The weights are a part of the state: reading never touches those of the network that was given, and
a state made earlier reads on from where it was. So one stream is read at a time. Streams that were
selected from it go on with the weights it had come to, and learn no more.
Legend: S streams, N ids of each, n ids of a segment, E size of the outputs, R rows of a parameter.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from charlm.errors import UsageError
from charlm.model.network import LanguageNetwork
from charlm.predict.adaptation import Adaptation
from charlm.predict.neural import NeuralPredictor, NeuralState
from charlm.predict.predictor import DensePrediction, Prediction, checked_ids

SMALLEST = 1e-12  # mean of the scales


Way = Callable[
    [NeuralPredictor, np.ndarray, NeuralState], tuple[np.ndarray, np.ndarray, NeuralState]
]


@dataclass(frozen=True)
class AdaptState:
    """What was read, and the weights it left.

    reader:  the network as it is now
    now:     what it has read, up to the next id
    begin:   the same where the segment began that is not learned yet
    pending: the ids of that segment so far, fewer than n; None where nothing more is learned
    """

    reader: NeuralPredictor
    now: NeuralState
    begin: NeuralState
    pending: np.ndarray | None


class AdaptingPredictor:
    """A network that adapts to the one stream it reads.

    scales: what `gradient_scales` gave: the rate of a row is divided by its own, which is the
    paper's RMS form with a row of a matrix in place of a single weight; without it all weights have
    the same rate, which is its SGD form
    """

    lanes = 1  # streams that can be read side by side

    def __init__(
        self,
        predictor: NeuralPredictor,
        adaptation: Adaptation,
        scales: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._trained, self.adaptation = predictor, adaptation
        self._segment = adaptation.segment
        self.vocab_size, self.boundary_id = predictor.vocab_size, predictor.boundary_id
        own = dict(predictor.network.named_parameters())
        if scales is None:
            self._rates = dict.fromkeys(own, torch.tensor(adaptation.rate, device=predictor.device))
            self._decays = dict.fromkeys(
                own, torch.tensor(adaptation.decay, device=predictor.device)
            )
        else:
            self._rates, self._decays = _by_row(own, adaptation, scales)

    def start(self, streams: int) -> AdaptState:
        """Give the state of one stream that has read nothing but the boundary."""
        if streams != 1:
            raise UsageError(f"a model that adapts reads one text at a time, not {streams}")
        begin = self._trained.start(1)
        return AdaptState(self._trained, begin, begin, np.zeros(0, dtype=np.int64))

    def prediction(self, state: AdaptState) -> Prediction:
        """Predict what comes next, without reading."""
        return state.reader.prediction(state.now)

    def step(self, ids: np.ndarray, state: AdaptState) -> tuple[Prediction, AdaptState]:
        """Read one id in each stream, (S,); predict what comes after it."""
        _, _, after = self.score_with_outputs(np.asarray(ids)[:, None], state)
        return self.prediction(after), after

    def score(self, ids: np.ndarray, state: AdaptState) -> tuple[np.ndarray, AdaptState]:
        """Read ids (S, N); give -log p of each where it stands, (S, N) float32 nats."""
        nats, _, state = self.score_with_outputs(ids, state)
        return nats, state

    def score_with_outputs(
        self, ids: np.ndarray, state: AdaptState
    ) -> tuple[np.ndarray, np.ndarray, AdaptState]:
        """Score ids (S, N), and give the outputs (S, N, E) by which each was predicted."""
        empty = np.zeros((len(ids), 0), np.float32), self.outputs(state)[:, None][:, :0]
        nats, outputs = [empty[0]], [empty[1]]
        for piece, before, after in self._read(NeuralPredictor.score_with_outputs, ids, state):
            nats.append(piece)
            outputs.append(before)
            state = after
        return np.concatenate(nats, axis=1), np.concatenate(outputs, axis=1), state

    def positions(self, ids: np.ndarray, state: AdaptState) -> tuple[Prediction, AdaptState]:
        """Give what is predicted at each of ids (1, n), as n streams, and the state after."""
        prediction, _, state = self.positions_with_outputs(ids, state)
        return prediction, state

    def positions_with_outputs(
        self, ids: np.ndarray, state: AdaptState
    ) -> tuple[Prediction, np.ndarray, AdaptState]:
        """Do the same, and give the outputs (1, n, E) by which each was predicted."""
        logs, outputs = list[np.ndarray](), list[np.ndarray]()
        for piece, before, after in self._read(_log_probs, ids, state):
            logs.append(piece)
            outputs.append(before)
            state = after
        return DensePrediction(np.concatenate(logs)), np.concatenate(outputs, axis=1), state

    def _read(
        self, way: Way, ids: np.ndarray, state: AdaptState
    ) -> Iterator[tuple[np.ndarray, np.ndarray, AdaptState]]:
        """Read ids (S, N) in one of the network's ways, and learn after each segment.

        Gives what it gives for each part of a segment, before anything is learned from that, and
        the state after. Only the last state stays as it is.
        """
        ids = checked_ids(ids, self.vocab_size)
        reader, now, begin, pending = state.reader, state.now, state.begin, state.pending
        if pending is None:
            piece, outputs, now = way(reader, ids, now)
            yield piece, outputs, replace(state, now=now)
            return
        at, own = 0, False
        while at < ids.shape[1]:
            part = np.asarray(ids[:, at : at + self._segment - len(pending)], dtype=np.int64)
            piece, outputs, now = way(reader, part, now)
            pending, at = np.concatenate([pending, part[0]]), at + part.shape[1]
            if len(pending) == self._segment:
                if not own:  # others hold it too
                    reader = NeuralPredictor(copy.deepcopy(reader.network), reader.boundary_id)
                    own = True
                self._learn(reader.network, pending, begin)
                begin, pending = now, pending[:0]
            yield piece, outputs, AdaptState(reader, now, begin, pending)

    def outputs(self, state: AdaptState) -> np.ndarray:
        """Give the outputs (S, E) by which the next id is predicted."""
        return state.reader.outputs(state.now)

    def pack(self, state: AdaptState) -> list[np.ndarray]:
        """Give what was read as arrays; the weights it left are those of `state.reader`."""
        return state.reader.pack(state.now)

    def unpack(self, arrays: Sequence[np.ndarray]) -> AdaptState:
        """Make a state of what `pack` gave, with the weights this predictor begins with."""
        now = self._trained.unpack(arrays)
        return AdaptState(self._trained, now, now, np.zeros(0, dtype=np.int64))

    def select(self, state: AdaptState, streams: Sequence[int] | np.ndarray) -> AdaptState:
        """Take some streams of a state, in the order given; they learn no more."""
        now = state.reader.select(state.now, streams)
        return AdaptState(state.reader, now, now, None)

    def stack(self, states: Sequence[AdaptState]) -> AdaptState:
        """Put streams of the same weights one after the other; they learn no more."""
        reader = states[0].reader
        if any(state.reader is not reader for state in states):
            raise UsageError("texts that a model has adapted to are not read side by side")
        now = reader.stack([state.now for state in states])
        return AdaptState(reader, now, now, None)

    def _learn(self, network: LanguageNetwork, ids: np.ndarray, begin: NeuralState) -> None:
        """Take the step after a segment (n,), in place."""
        gradients = segment_gradients(network, ids, begin)
        trained = dict(self._trained.network.named_parameters())
        with torch.no_grad():
            for name, weight in network.named_parameters():
                weight.addcmul_(self._rates[name], gradients[name], value=-1)
                weight.lerp_(trained[name], self._decays[name])


def _log_probs(
    reader: NeuralPredictor, ids: np.ndarray, state: NeuralState
) -> tuple[np.ndarray, np.ndarray, NeuralState]:
    """Give log p of all ids at each of ids (1, n), (n, V), the outputs (1, n, E), and the state."""
    prediction, outputs, state = reader.positions_with_outputs(ids, state)
    return prediction.log_probs(), outputs, state


def segment_gradients(
    network: LanguageNetwork, ids: np.ndarray, begin: NeuralState
) -> dict[str, Tensor]:
    """Differentiate the mean nats of a segment (n,) by every parameter.

    Its first id is predicted by the output that stands in `begin`; the gradient goes no further
    back.
    """
    device = begin.output.device
    segment = torch.from_numpy(np.array(ids, dtype=np.int64)).to(device)
    hidden = tuple(each.clone() for each in begin.hidden)  # inference tensors cannot be learned by
    with torch.enable_grad():
        outputs, _ = network(segment[None], hidden)
        rows = torch.cat([begin.output.clone(), outputs[0, :-1]])  # (n, E)
        nats = network.head.nats_sum(rows, segment) / len(segment)
        parameters = dict(network.named_parameters())
        gradients = torch.autograd.grad(nats, list(parameters.values()))
    return dict(zip(parameters, gradients, strict=True))


def gradient_scales(
    predictor: NeuralPredictor, ids: np.ndarray, segment: int, seconds: float = math.inf
) -> dict[str, Tensor]:
    """Give the root mean square of the gradients over segments of ids (N,), N > 0, by parameter.

    One number for each row, (R,): of a matrix the rows say almost all of it (Shazeer & Stern 2018).
    After `seconds` the rest of the ids is left out.
    """
    deadline, state, count = time.monotonic() + seconds, predictor.start(1), 0
    squares = {
        name: torch.zeros(len(parameter), device=parameter.device)
        for name, parameter in predictor.network.named_parameters()
    }
    for start in range(0, len(ids), segment):
        part = np.asarray(ids[start : start + segment], dtype=np.int64)
        for name, gradient in segment_gradients(predictor.network, part, state).items():
            squares[name] += (
                gradient.square().flatten(1).mean(1) if gradient.ndim > 1 else (gradient.square())
            )
        state, count = predictor.read_in_order(part[None], state), count + 1
        if time.monotonic() > deadline:
            break
    return {name: (square / count).sqrt_() for name, square in squares.items()}


def _by_row(
    parameters: Mapping[str, Tensor], adaptation: Adaptation, scales: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Give the rate and the decay of each row, (R, 1) or (R,), by parameter.

    rate / (scale + mean) and decay · scale / mean: rows that hardly moved in training, whose scale
    says little, learn no faster than twice what is usual, and are held to what they were less.
    """
    total = sum(
        parameter.numel() * float(scales[name].double().mean())
        for name, parameter in parameters.items()
    )
    mean = max(total / sum(map(torch.numel, parameters.values())), SMALLEST)
    rates, decays = {}, {}
    for name, parameter in parameters.items():
        scale = scales[name].to(parameter).reshape(-1, *[1] * (parameter.ndim - 1))
        rates[name] = adaptation.rate / (scale + mean)
        decays[name] = (adaptation.decay / mean * scale).clamp_(max=1.0)
    return rates, decays
