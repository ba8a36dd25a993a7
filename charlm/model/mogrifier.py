"""The Mogrifier LSTM (Melis et al. 2020, arXiv 1909.01792): input and state gate each other first.

Before each step of an LSTM, in rounds i = 1 ... r (their equations 1 and 2),

    x^i = 2 sigmoid(Q^i h^(i-1)) x^(i-2)    for odd i
    h^i = 2 sigmoid(R^i x^(i-1)) h^(i-2)    for even i

from x^(-1), the input, and h^0, the state; the step reads the last of each. The memory stays as it
is. A matrix may be a product of two, of rank k: Q = Q_left Q_right, likewise R.

What becomes of an input depends on the state, so that no product can be made for a window ahead:
this is a plain loop over its steps. Legend: B streams, T steps, I inputs, H hidden units, k rank.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from charlm.model.chunked import autocast_type
from charlm.model.state import State

SUMMED = 32  # steps whose weight gradients are summed in the products' type, which may be bfloat16

Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class Mogrifier(nn.Module):
    """The rounds of one layer, and its way through a window."""

    def __init__(self, input_size: int, hidden_size: int, rounds: int, rank: int = 0) -> None:
        super().__init__()
        sizes = (input_size, hidden_size), (hidden_size, input_size)
        self.rounds = nn.ModuleList(Modulation(*sizes[i % 2], rank) for i in range(rounds))

    def forward(
        self, inputs: Tensor, state: State, weights: Sequence[Tensor]
    ) -> tuple[Tensor, State]:
        """Read inputs (B, T, I) from a state of two (B, H); give outputs (B, T, H) and the state.

        weights: as in `RecurrentLayer`, input's and recurrent, and their biases. The outputs are in
        autocast's type, in which products are made; gates and the state are in the state's own.
        """
        half, (hidden, memory) = autocast_type(inputs), state
        outputs = []
        with torch.autocast(inputs.device.type, enabled=False):
            for part in torch.split(inputs.to(memory.dtype), SUMMED, dim=1):
                step = self._step(weights, half)
                for values in part.unbind(dim=1):
                    hidden, memory = step(values, hidden, memory)
                    outputs.append(hidden)
        return torch.stack(outputs, dim=1).to(half), (hidden, memory)

    def _step(self, weights: Sequence[Tensor], half: torch.dtype) -> Step:
        """Give the step from (B, I), hidden and memory (B, H) to the next hidden and memory."""
        rounds = [each(half) for each in self.rounds]
        weight_ih, weight_hh = (weight.to(half) for weight in weights[:2])
        bias = weights[2] + weights[3]

        def step(values: Tensor, hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
            for number, matrices in enumerate(rounds):
                if number % 2 == 0:
                    values = modulated(values, hidden, matrices)
                else:
                    hidden = modulated(hidden, values, matrices)
            sums = functional.linear(values.to(half), weight_ih)
            sums = sums + functional.linear(hidden.to(half), weight_hh)
            return lstm_step(sums.to(memory.dtype) + bias, memory)

        return step


class Modulation(nn.Module):
    """The matrix of one round, (size, by), or the two that it is a product of."""

    def __init__(self, size: int, by: int, rank: int) -> None:
        super().__init__()
        self.rank = rank
        if rank:
            self.left = nn.Parameter(torch.empty(size, rank))
            self.right = nn.Parameter(torch.empty(rank, by))
        else:
            self.weight = nn.Parameter(torch.empty(size, by))
        for matrix in self.parameters():  # 2 sigmoid of little is about 1
            nn.init.uniform_(matrix, -(matrix.shape[1] ** -0.5), matrix.shape[1] ** -0.5)

    def forward(self, half: torch.dtype) -> list[Tensor]:
        """Give what is to be multiplied with, in this order and this type."""
        factors = [self.right, self.left] if self.rank else [self.weight]
        return [factor.to(half) for factor in factors]


def modulated(values: Tensor, by: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Gate values (B, size) by others (B, by): 2 sigmoid(M by) values."""
    product = by.to(matrices[0].dtype)
    for matrix in matrices:
        product = functional.linear(product, matrix)
    return 2 * product.to(values.dtype).sigmoid() * values


def lstm_step(sums: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Take an LSTM's step, as `walks.LstmWalk` does, on gates' sums (B, 4·H) and memory (B, H)."""
    i, f, n, o = sums.chunk(4, dim=1)
    memory = f.sigmoid() * memory + i.sigmoid() * n.tanh()
    return o.sigmoid() * memory.tanh(), memory
