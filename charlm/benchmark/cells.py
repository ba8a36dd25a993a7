"""One recurrent layer, forward and backward: charlm's against PyTorch's own.

Legend: B streams, T steps, H hidden units.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from charlm.benchmark.contest import Contest, race
from charlm.model.recurrent import RecurrentConfig, RecurrentLayer
from charlm.training.precision import autocast

Cell = Literal["lstm", "gru", "rnn"]

CELLS: tuple[Cell, ...] = ("lstm", "gru", "rnn")
MODULES = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class LayerShape(NamedTuple):
    """B, T, H."""

    batch: int
    window: int
    hidden: int


SHAPES = (LayerShape(16, 64, 128), LayerShape(16, 64, 384), LayerShape(64, 64, 256))
QUICK_SHAPES = (LayerShape(4, 8, 16),)


class LayerPass:
    """A layer over a window of inputs (B, T, H), forward and backward, to be timed by calling it.

    Without `own` it is PyTorch's module. The gradients of inputs and weights are both computed, as
    in a network; the loss is the sum of all outputs.
    """

    def __init__(self, cell: Cell, shape: LayerShape, bf16: bool, own: bool) -> None:
        hidden, self._bf16, self._own = shape.hidden, bf16, own
        config = RecurrentConfig(hidden, hidden, cell=cell)
        self.layer = (
            RecurrentLayer(hidden, hidden, config)
            if own
            else MODULES[cell](hidden, hidden, batch_first=True)
        )
        generator = torch.Generator().manual_seed(1)
        self._inputs = torch.randn(shape, generator=generator, requires_grad=True)
        states = 2 if cell == "lstm" else 1
        self._state = tuple(torch.zeros(shape.batch, hidden) for _ in range(states))

    def __call__(self) -> Tensor:
        """Go forward and backward; give the outputs (B, T, H)."""
        self._inputs.grad = None
        self.layer.zero_grad(set_to_none=True)
        with autocast(torch.device("cpu"), self._bf16):
            outputs = self._outputs()
        outputs.float().sum().backward()  # type: ignore[no-untyped-call]
        return outputs.detach()

    def _outputs(self) -> Tensor:
        given = (self._inputs, self._state) if self._own else (self._inputs,)
        outputs: Tensor = self.layer(*given)[0]
        return outputs


def race_cell(cell: Cell, shape: LayerShape, rounds: int, bf16: bool) -> Contest:
    """Race charlm's layer against PyTorch's, at the same shape and in the same number format."""
    own, other = (LayerPass(cell, shape, bf16, own) for own in (True, False))
    name = f"{cell}, {shape.batch} x {shape.window} x {shape.hidden}"
    return race(name, own, other, shape.batch * shape.window, rounds)
