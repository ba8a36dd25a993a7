"""Stacked recurrent layers with explicit state.

Legend: B streams, T steps, I inputs, H hidden units, G gates (4 LSTM, 3 GRU, 1 RNN).
Weights have PyTorch's names, shapes and gate order: weight_ih (G·H, I), weight_hh (G·H, H), biases
(G·H,). On equal weights the outputs equal those of nn.LSTM, nn.GRU and nn.RNN.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from charlm.model.dropout import locked_dropout, weight_dropout
from charlm.model.shape import GATES
from charlm.model.state import State, reset_state

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

    def sizes(self) -> list[tuple[int, int]]:
        """Give (inputs, units) of each layer."""
        units = [self.hidden_size] * self.num_layers
        units[-1] = self.output_size or self.hidden_size
        return list(zip([self.input_size, *units], units, strict=False))


class RecurrentLayer(nn.Module):
    """One layer of LSTM, GRU or RNN cells, run over a window by PyTorch's fused functions.

    LSTM: Hochreiter & Schmidhuber 1997 with forget gates (Gers et al. 2000). GRU: Cho et al. 2014,
    in the form cuDNN uses, with the reset gate after the product. RNN: Elman 1990.
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

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Read inputs (B, T, I) from a state of (B, H); give outputs (B, T, H) and the state."""
        recurrent = weight_dropout(self.weight_hh, self.weight_dropout, self.training)
        weights = [self.weight_ih, recurrent, self.bias_ih, self.bias_hh]
        # (has_biases, num_layers, dropout, train, bidirectional, batch_first)
        settings = (True, 1, 0.0, self.training, False, True)
        first = state[0].unsqueeze(0)
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
        if resets is None or not bool(resets.any()):
            return self._read(inputs, state)
        initial = self.initial_state(len(inputs))
        columns = resets.any(dim=0).nonzero()[:, 0].tolist()
        pieces, start = [], 0
        for column in [*columns, inputs.shape[1]]:
            if column > start:
                outputs, state = self._read(inputs[:, start:column], state)
                pieces.append(outputs)
            if column < inputs.shape[1]:
                state = reset_state(state, initial, resets[:, column])
            start = column
        return torch.cat(pieces, dim=1), state

    def _read(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, after = inputs, []
        n = self.states_per_layer
        for number, layer in enumerate(self.layers):
            if number > 0:
                outputs = locked_dropout(outputs, self.config.layer_dropout, self.training)
            outputs, layer_state = layer(outputs, state[number * n : (number + 1) * n])
            after.extend(layer_state)
        return outputs, tuple(after)
