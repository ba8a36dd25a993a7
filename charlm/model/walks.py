"""The steps of recurrent cells over a window, forward and back, for `charlm.model.fused`.

A cell is a class with `forward` and `backward` for one step: one that PyTorch lacks needs no more.
Legend: B streams, T steps, H hidden units, G gates (4 LSTM, 3 GRU, 1 RNN). Units come before
streams, (G·H, B): a product with few streams is quicker so.
"""

from typing import Protocol

import torch
from torch import Tensor


class Walk(Protocol):
    """The steps of one cell over one window.

    Made from the inputs' part of the gates (T, G·H, B), which it may overwrite; from hidden
    (T + 1, H, B), of which the first is given; from the recurrent product's bias (G·H, 1); and,
    for a cell that has one, from its memory (T + 1, H, B), of which the first is given too.
    """

    of_memory: Tensor | None  # gradient by the last memory (H, B); when gone back, by the first

    def __init__(
        self, gates: Tensor, hidden: Tensor, bias: Tensor, memory: Tensor | None
    ) -> None: ...

    def forward(self, step: int, product: Tensor) -> None:
        """Fill hidden[step + 1], by the product (G·H, B) of the weights with hidden[step]."""

    def prepare_backward(self) -> tuple[Tensor, Tensor]:
        """Make room for the gradients by the inputs' part and by the product, (T, G·H, B) each.

        They may be one tensor. What the gradients owe to the window alone is computed here.
        """

    def backward(self, step: int, gradient: Tensor) -> Tensor | None:
        """Fill the step's gradients, given that of hidden[step + 1], (H, B).

        Gives what goes to hidden[step] beside the product: a new tensor, or None for nothing.
        """

    def finish_backward(self) -> None:
        """Compute what of the gradients was left until all steps are done."""


class LstmWalk:
    """Hochreiter & Schmidhuber 1997 with forget gates (Gers et al. 2000).

    With s the inputs' part and the product together, cut into input, forget, candidate and output:

        i = sigmoid(s_i)    f = sigmoid(s_f)    n = tanh(s_n)    o = sigmoid(s_o)
        c' = f c + i n      h' = o tanh(c')
    """

    def __init__(self, gates: Tensor, hidden: Tensor, bias: Tensor, memory: Tensor | None) -> None:
        assert memory is not None
        gates += bias
        units = hidden.shape[1]
        self._gates, self._all_memory = gates, memory
        self._steps, self._hidden, self._memory = gates.unbind(), hidden.unbind(), memory.unbind()
        self._pairs = gates[:, : 2 * units].unbind()  # input and forget
        self._inputs, self._forgets, self._candidates, self._outputs = (
            gate.unbind() for gate in torch.split(gates, units, dim=1)
        )
        self._bounded = torch.empty_like(memory[1:])  # tanh(c')
        self._bounds = self._bounded.unbind()
        self.of_memory: Tensor | None = torch.zeros_like(memory[0])

    def forward(self, step: int, product: Tensor) -> None:
        """Fill hidden[step + 1] and memory[step + 1]; gates become i, f, n and o."""
        self._steps[step].add_(product)
        self._pairs[step].sigmoid_()
        candidate, output = self._candidates[step].tanh_(), self._outputs[step].sigmoid_()
        after = torch.mul(self._forgets[step], self._memory[step], out=self._memory[step + 1])
        after.addcmul_(self._inputs[step], candidate)
        bounded = torch.tanh(after, out=self._bounds[step])
        torch.mul(output, bounded, out=self._hidden[step + 1])

    def prepare_backward(self) -> tuple[Tensor, Tensor]:
        """Compute the gradients for one of one at each memory[step + 1], or hidden[step + 1].

        By the memory, d i = n i (1 - i), d f = c f (1 - f), d n = i (1 - n²); by hidden,
        d o = tanh(c') o (1 - o), and o (1 - tanh(c')²) for the memory itself.
        """
        units = self._all_memory.shape[1]
        pair = self._gates[:, : 2 * units]
        first, _, candidate, output = torch.split(self._gates, units, dim=1)
        slopes = torch.empty_like(self._gates)
        of_pair = slopes[:, : 2 * units]
        of_first, of_forget, of_candidate, of_output = torch.split(slopes, units, dim=1)
        torch.addcmul(pair, pair, pair, value=-1, out=of_pair)
        of_first.mul_(candidate)
        of_forget.mul_(self._all_memory[:-1])
        torch.mul(candidate, candidate, out=of_candidate)
        of_candidate.neg_().add_(1).mul_(first)
        torch.addcmul(output, output, output, value=-1, out=of_output).mul_(self._bounded)
        self._kept = torch.addcmul(output, output * self._bounded, self._bounded, value=-1).unbind()
        by_memory = slopes[:, : 3 * units].view(len(slopes), 3, units, -1)
        self._by_memory, self._by_hidden = by_memory.unbind(), of_output.unbind()
        return slopes, slopes

    def backward(self, step: int, gradient: Tensor) -> None:
        """Multiply the slopes by the memory's gradient and the hidden's."""
        assert self.of_memory is not None
        self.of_memory.addcmul_(gradient, self._kept[step])
        self._by_memory[step].mul_(self.of_memory)
        self._by_hidden[step].mul_(gradient)
        self.of_memory.mul_(self._forgets[step])

    def finish_backward(self) -> None:
        """Leave nothing."""


class RnnWalk:
    """Elman 1990: h' = f(a + b), a the inputs' part, b the product; f is tanh or relu."""

    of_memory: Tensor | None = None

    def __init__(self, gates: Tensor, hidden: Tensor, bias: Tensor, memory: Tensor | None) -> None:
        gates += bias
        self._gates, self._hidden = gates.unbind(), hidden.unbind()
        self._outputs = hidden[1:]

    def forward(self, step: int, product: Tensor) -> None:
        """Fill hidden[step + 1]."""
        self._activate(product.add_(self._gates[step]), self._hidden[step + 1])

    def prepare_backward(self) -> tuple[Tensor, Tensor]:
        """Compute the slopes of f."""
        gradients = self._slopes(self._outputs)
        self._gradients = gradients.unbind()
        return gradients, gradients

    def backward(self, step: int, gradient: Tensor) -> None:
        """Multiply the slopes by the gradient."""
        self._gradients[step].mul_(gradient)

    def finish_backward(self) -> None:
        """Leave nothing."""

    def _activate(self, sums: Tensor, out: Tensor) -> None:
        torch.tanh(sums, out=out)

    def _slopes(self, outputs: Tensor) -> Tensor:
        return 1 - outputs * outputs


class ReluWalk(RnnWalk):
    """The same with f(x) = max(x, 0)."""

    def _activate(self, sums: Tensor, out: Tensor) -> None:
        torch.clamp(sums, min=0, out=out)

    def _slopes(self, outputs: Tensor) -> Tensor:
        return (outputs > 0).to(outputs.dtype)


class GruWalk:
    """Cho et al. 2014, with the reset gate after the product, as cuDNN has it.

    With a the inputs' part and b the product, both cut into reset, update and candidate:

        r = sigmoid(a_r + b_r)    z = sigmoid(a_z + b_z)    n = tanh(a_n + r b_n)
        h' = (1 - z) n + z h
    """

    of_memory: Tensor | None = None

    def __init__(self, gates: Tensor, hidden: Tensor, bias: Tensor, memory: Tensor | None) -> None:
        units = hidden.shape[1]
        gates[:, : 2 * units] += bias[: 2 * units]
        self._bias = bias[2 * units :]
        self._pairs = gates[:, : 2 * units].unbind()  # reset and update, then in place r and z
        self._resets, self._updates, self._candidates = (
            gate.unbind() for gate in torch.split(gates, units, dim=1)
        )
        self._inner = hidden.new_empty(len(gates), *hidden.shape[1:])  # b_n with its bias
        self._inners = self._inner.unbind()
        self._gates, self._all = gates, hidden
        self._hidden, self._units = hidden.unbind(), units

    def forward(self, step: int, product: Tensor) -> None:
        """Fill hidden[step + 1]; gates become r, z and n."""
        units = self._units
        self._pairs[step].add_(product[: 2 * units]).sigmoid_()
        inner = torch.add(product[2 * units :], self._bias, out=self._inners[step])
        candidate = self._candidates[step].addcmul_(self._resets[step], inner).tanh_()
        after = self._hidden[step + 1]
        torch.lerp(candidate, self._hidden[step], self._updates[step], out=after)

    def prepare_backward(self) -> tuple[Tensor, Tensor]:
        """Compute the gradients for a gradient of one at each hidden[step + 1].

        d n = (1 - z)(1 - n²), d z = (h - n) z (1 - z), d r = d n · b_n r (1 - r); the product's
        candidate is r d n.
        """
        reset, update, candidate = torch.split(self._gates, self._units, dim=1)
        slopes = torch.empty_like(self._gates)
        of_reset, of_update, of_inner = torch.split(slopes, self._units, dim=1)
        self._of_candidate = (1 - candidate * candidate).mul_(1 - update)
        torch.sub(self._all[:-1], candidate, out=of_update).mul_(update)
        of_update.addcmul_(of_update, update, value=-1)
        torch.mul(self._of_candidate, reset, out=of_inner)
        torch.mul(of_inner, self._inner, out=of_reset)
        of_reset.addcmul_(of_reset, reset, value=-1)
        steps, streams = len(slopes), slopes.shape[2]
        self._slopes = slopes.view(steps, 3, self._units, streams).unbind()
        self._of_product, self._of_inputs = slopes, torch.empty_like(slopes)
        self._received = torch.empty_like(self._inner)
        self._receivers = self._received.unbind()
        return self._of_inputs, slopes

    def backward(self, step: int, gradient: Tensor) -> Tensor:
        """Multiply the slopes by the gradient; a share z goes straight to the state before."""
        self._receivers[step].copy_(gradient)
        self._slopes[step].mul_(gradient)
        return torch.mul(gradient, self._updates[step])

    def finish_backward(self) -> None:
        """Let the inputs' candidates, too, receive their gradient: d n."""
        units = self._units
        self._of_inputs[:, : 2 * units] = self._of_product[:, : 2 * units]
        torch.mul(self._of_candidate, self._received, out=self._of_inputs[:, 2 * units :])


WALKS: dict[str, type[Walk]] = {
    "lstm": LstmWalk,
    "gru": GruWalk,
    "tanh": RnnWalk,
    "relu": ReluWalk,
}
