"""Stacked recurrent layers with explicit state.

Legend: B streams, T steps, I inputs, H hidden units, G gates (4 LSTM, 3 GRU, 1 RNN).
Weights have PyTorch's names, shapes and gate order: weight_ih (G·H, I), weight_hh (G·H, H), biases
(G·H,). On equal weights the outputs equal those of nn.LSTM, nn.GRU and nn.RNN.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from charlm.model.chunked import autocast_type
from charlm.model.dropout import locked_dropout, weight_dropout
from charlm.model.fused import compiled_walks, fused_layer
from charlm.model.mogrifier import Mogrifier
from charlm.model.shape import GATES, layer_sizes
from charlm.model.state import State, reset_state

Segment = tuple[slice, Tensor]  # steps of a window, and the streams (B,) that begin anew there
MISTAKEN_UNITS = 1024  # from which oneDNN's LSTM gives wrong gradients in bfloat16 on AMX units
SLOW_UNITS = 640  # from which our compiled LSTM is quicker in bfloat16 (docs/benchmarks.md)
FORGET_BIAS = 1.0  # Jozefowicz et al. 2015: an LSTM that begins by remembering learns better


@dataclass(frozen=True)
class RecurrentConfig:
    """The shape of a stack; `output_size` is the last layer's size where it differs."""

    input_size: int
    hidden_size: int
    num_layers: int = 1
    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    output_size: int | None = None
    layer_dropout: float = 0.0
    weight_dropout: float = 0.0
    mogrifier: int = 0  # rounds before each step of an LSTM
    mogrifier_rank: int = 0  # of their matrices; 0: full

    def sizes(self) -> list[tuple[int, int]]:
        """Give (inputs, units) of each layer."""
        last = self.output_size or self.hidden_size
        return layer_sizes(self.input_size, self.hidden_size, self.num_layers, last)


class RecurrentLayer(nn.Module):
    """One layer of LSTM, GRU or RNN cells, run over a window in one call.

    By PyTorch's own functions, but on a CPU for GRU, RNN and wide LSTM in bfloat16, where theirs
    are slow or wrong (`charlm.model.fused`).

    LSTM: Hochreiter & Schmidhuber 1997 with forget gates (Gers et al. 2000). GRU: Cho et al. 2014,
    in the form cuDNN uses, with the reset gate after the product. RNN: Elman 1990. An LSTM's input
    and state may gate each other first (`charlm.model.mogrifier`).
    """

    def __init__(self, input_size: int, hidden_size: int, config: RecurrentConfig) -> None:
        super().__init__()
        self.cell = config.cell
        self.nonlinearity = config.nonlinearity
        self.weight_dropout = config.weight_dropout
        self.hidden_size = hidden_size
        rows = GATES[config.cell] * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))
        self.reset_parameters()
        rounds, rank = config.mogrifier, config.mogrifier_rank
        self.mogrifier = Mogrifier(input_size, hidden_size, rounds, rank) if rounds else None

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw new weights: orthogonal recurrent ones (Saxe et al. 2014), gate by gate."""
        bound = self.hidden_size**-0.5
        nn.init.uniform_(self.weight_ih, -bound, bound)
        for gate in torch.split(self.weight_hh, self.hidden_size):
            if not gate.is_meta:
                nn.init.orthogonal_(gate)
        nn.init.zeros_(self.bias_ih)
        nn.init.zeros_(self.bias_hh)
        if self.cell == "lstm":
            self.bias_ih[self.hidden_size : 2 * self.hidden_size] = FORGET_BIAS

    def forward(
        self, inputs: Tensor, state: State, segments: Sequence[Segment] | None = None
    ) -> tuple[Tensor, State]:
        """Read inputs (B, T, I) from a state of (B, H); give outputs (B, T, H) and the state.

        The weights dropped are the same in all segments of the window.
        """
        recurrent = weight_dropout(self.weight_hh, self.weight_dropout, self.training)
        weights = [self.weight_ih, recurrent, self.bias_ih, self.bias_hh]
        if segments is None:
            return self._read(inputs, state, weights)
        pieces = []
        for steps, anew in segments:
            state = reset_state(state, tuple(map(torch.zeros_like, state)), anew)
            outputs, state = self._read(inputs[:, steps], state, weights)
            pieces.append(outputs)
        return torch.cat(pieces, dim=1), state

    def _read(self, inputs: Tensor, state: State, weights: list[Tensor]) -> tuple[Tensor, State]:
        if self.mogrifier is not None:
            read: tuple[Tensor, State] = self.mogrifier(inputs, state, weights)
            return read
        # (has_biases, num_layers, dropout, train, bidirectional, batch_first)
        # in "training" wherever a gradient may be asked for: else cuDNN keeps nothing to make it of
        learns = self.training or torch.is_grad_enabled()
        settings = (True, 1, 0.0, learns, False, True)
        first = state[0].unsqueeze(0)
        if self._goes_own_way(inputs):
            kind = self.nonlinearity if self.cell == "rnn" else self.cell
            return fused_layer(kind, inputs, state, weights)
        if self.cell == "lstm":
            before = [first, state[1].unsqueeze(0)]
            outputs, hidden, memory = torch.lstm(inputs, before, weights, *settings)
            return outputs, (hidden[0], memory[0])
        if self.cell == "gru":
            outputs, hidden = torch.gru(inputs, first, weights, *settings)
        elif self.nonlinearity == "relu":
            outputs, hidden = torch.rnn_relu(inputs, first, weights, *settings)
        else:
            outputs, hidden = torch.rnn_tanh(inputs, first, weights, *settings)
        return outputs, (hidden[0],)

    def _goes_own_way(self, inputs: Tensor) -> bool:
        """Tell whether the layer is run by our own walk, and not by PyTorch."""
        if inputs.device.type != "cpu":
            return False
        if self.cell != "lstm":
            return True
        if autocast_type(inputs) != torch.bfloat16 or self.hidden_size < SLOW_UNITS:
            return False
        return self.hidden_size >= MISTAKEN_UNITS or "lstm" in compiled_walks()


class RecurrentStack(nn.Module):
    """Layers on top of each other, with dropout between them."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(
            RecurrentLayer(inputs, units, config) for inputs, units in config.sizes()
        )
        self.states_per_layer = 2 if config.cell == "lstm" else 1

    def initial_state(self, batch_size: int) -> State:
        """Give the state before anything is read: zeros, B = `batch_size` streams."""
        reference = next(self.parameters())
        return tuple(
            reference.new_zeros(batch_size, units)
            for _, units in self.config.sizes()
            for _ in range(self.states_per_layer)
        )

    def forward(
        self, inputs: Tensor, state: State, resets: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Read inputs (B, T, I); give outputs (B, T, H) and the state after the last step.

        Where resets (B, T) holds, that stream's state is set back before it reads that step.
        """
        segments = None if resets is None else _segments(resets)
        outputs, after = inputs, []
        n = self.states_per_layer
        for number, layer in enumerate(self.layers):
            if number > 0:
                outputs = locked_dropout(outputs, self.config.layer_dropout, self.training)
            outputs, layer_state = layer(outputs, state[number * n : (number + 1) * n], segments)
            after.extend(layer_state)
        return outputs, tuple(after)


def _segments(resets: Tensor) -> list[Segment]:
    """Cut a window before each step where some stream begins anew, as resets (B, T) says."""
    columns = resets.any(dim=0).nonzero()[:, 0].tolist()
    edges = sorted({0, *columns, resets.shape[1]})
    return [(slice(start, end), resets[:, start]) for start, end in pairwise(edges)]
