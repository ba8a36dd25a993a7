"""The series network: a linear layer, the recurrent stack, and a head over outputs and inputs.

Legend: B streams, T steps, I inputs, E embedding, H hidden units, C columns, K numbers for each.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from charlm.model.dropout import locked_dropout
from charlm.model.recurrent import RecurrentConfig, RecurrentStack
from charlm.model.state import State
from charlm.options import check
from charlm.series.features import Features
from charlm.series.heads import HEADS


@dataclass(frozen=True)
class SeriesConfig:
    """The shape of a series network.

    persists: begins by predicting the value that it reads: for values, not for changes
    """

    features: Features
    hidden_size: int
    num_layers: int = 1
    embed_size: int = 16
    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    head: str = "quantiles"
    dropout: float = 0.0
    persists: bool = True
    stack: RecurrentConfig = field(init=False)

    def __post_init__(self) -> None:
        check(self.head in HEADS, f"the head must be one of {', '.join(HEADS)}")
        stack = RecurrentConfig(
            input_size=self.embed_size,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            cell=self.cell,
            layer_dropout=self.dropout,
        )
        object.__setattr__(self, "stack", stack)


class SeriesNetwork(nn.Module):
    """Predicts the next row from all before it.

    The head reads the inputs beside the stack's outputs, so that what is linear need not pass
    through the recurrent layers (the highway of LSTNet: Lai et al. 2018, arXiv 1703.07015).
    """

    chosen: Tensor

    def __init__(self, config: SeriesConfig) -> None:
        super().__init__()
        self.config = config
        features, self.kind = config.features, HEADS[config.head]
        self.embedding = nn.Linear(features.input_size, config.embed_size)
        self.stack = RecurrentStack(config.stack)
        outputs = features.columns * self.kind.outputs
        self.head = nn.Linear(config.hidden_size + features.input_size, outputs)
        chosen = torch.tensor(features.chosen(), device="cpu")
        self.register_buffer("chosen", chosen, persistent=False)
        self._begin()

    @torch.no_grad()
    def _begin(self) -> None:
        """Let the head begin with what is known of any series: the next value is like the last."""
        count, each = self.config.features.columns, self.kind.outputs
        if self.head.weight.is_meta:
            return
        self.head.weight.zero_()
        biases = torch.tensor(self.kind.first_biases() * count)
        self.head.bias.copy_(biases)
        if self.config.persists:
            middle = each // 2 if self.config.head == "quantiles" else 0
            for column in range(count):
                self.head.weight[column * each + middle, self.config.hidden_size + column] = 1.0

    def losses(
        self, rows: Tensor, targets: Tensor, state: State, resets: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Give the losses, (B, T, C), of rows (B, T, 3 C) that come after rows (B, T, 3 C).

        They are 0 where no value is known.
        """
        outputs, state = self(rows.index_select(-1, self.chosen), state, resets)
        values = targets[..., : self.config.features.columns]
        return self.kind.loss(outputs, values) * self.known(targets), state

    def known(self, rows: Tensor) -> Tensor:
        """Give 1 for what is known of rows (B, T, 3 C) and 0 for what is not, (B, T, C)."""
        count = self.config.features.columns
        return rows[..., count : 2 * count]

    def initial_state(self, batch_size: int) -> State:
        """Give the state before anything is read, for B = `batch_size` streams."""
        return self.stack.initial_state(batch_size)

    def forward(
        self, inputs: Tensor, state: State, resets: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Read inputs (B, T, I); give the head's numbers, (B, T, C, K), and the state."""
        outputs, state = self.stack(self.embedding(inputs), state, resets)
        outputs = locked_dropout(outputs, self.config.dropout, self.training)
        numbers = self.head(torch.cat([outputs, inputs], dim=-1))
        return numbers.unflatten(-1, (self.config.features.columns, self.kind.outputs)), state
