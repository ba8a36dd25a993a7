"""The steps of recurrent cells over a window, forward and back, for `charlm.model.fused`.

A cell is a class with `forward` and `backward` for one step: one that PyTorch lacks needs no more.
Those here are plain PyTorch; `charlm.model.compiled` has the same compiled.
Legend: B streams, T steps, H hidden units, G gates (4 LSTM, 3 GRU, 1 RNN).
"""

from typing import Protocol

import torch
from torch import Tensor


class Walk(Protocol):
    """The steps of one cell over one window.

    Made from the inputs' part of the gates (T, B, G·H), which it may overwrite; from the states
    (T + 1, B, H) that the recurrent products read, to be filled; from the state before, (B, H),
    which is the first of them with all its digits; and, for a cell that has one, from its memory
    (T + 1, B, H), of which the first is given. Gates and states may be in half precision.
    """

    of_memory: Tensor | None  # gradient by the last memory (B, H); when gone back, by the first

    def __init__(
        self, gates: Tensor, states: Tensor, before: Tensor, memory: Tensor | None
    ) -> None: ...

    def forward(self, step: int, product: Tensor) -> None:
        """Fill states[step + 1], by the product (B, G·H) of states[step], its bias included."""

    def prepare_backward(self, received: Tensor) -> tuple[Tensor, Tensor]:
        """Make room for the gradients by the inputs' part and by the product, (T, B, G·H) each.

        They may be one tensor. What the gradients owe to the window alone is computed here.
        received: the gradients (T, B, H) by the outputs.
        """

    def backward(self, step: int, product: Tensor) -> None:
        """Fill the step's gradients; product (B, H): what states[step + 1] gets from later ones."""

    def finish_backward(self, product: Tensor) -> Tensor:
        """Compute what of the gradients was left; give that of the state before, (B, H)."""


class LstmWalk:
    """Hochreiter & Schmidhuber 1997 with forget gates (Gers et al. 2000).

    With s the inputs' part and the product together, cut into input, forget, candidate and output:

        i = sigmoid(s_i)    f = sigmoid(s_f)    n = tanh(s_n)    o = sigmoid(s_o)
        c' = f c + i n      h' = o tanh(c')
    """

    def __init__(
        self, gates: Tensor, states: Tensor, before: Tensor, memory: Tensor | None
    ) -> None:
        assert memory is not None
        gates, units = gates.to(before.dtype), before.shape[1]
        self._gates, self._all_memory = gates, memory
        self._steps, self._states, self._memory = gates.unbind(), states.unbind(), memory.unbind()
        self._pairs = gates[..., : 2 * units].unbind()  # input and forget
        self._inputs, self._forgets, self._candidates, self._outputs = (
            gate.unbind() for gate in torch.split(gates, units, dim=2)
        )
        self._bounded = torch.empty_like(memory[1:])  # tanh(c')
        self._bounds = self._bounded.unbind()
        self.of_memory: Tensor | None = torch.zeros_like(memory[0])

    def forward(self, step: int, product: Tensor) -> None:
        """Fill states[step + 1] and memory[step + 1]; gates become i, f, n and o."""
        self._steps[step].add_(product)
        self._pairs[step].sigmoid_()
        candidate, output = self._candidates[step].tanh_(), self._outputs[step].sigmoid_()
        after = torch.mul(self._forgets[step], self._memory[step], out=self._memory[step + 1])
        after.addcmul_(self._inputs[step], candidate)
        bounded = torch.tanh(after, out=self._bounds[step])
        torch.mul(output, bounded, out=self._states[step + 1])

    def prepare_backward(self, received: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the gradients for one of one at each memory[step + 1], or states[step + 1].

        By the memory, d i = n i (1 - i), d f = c f (1 - f), d n = i (1 - n²); by the state,
        d o = tanh(c') o (1 - o), and o (1 - tanh(c')²) for the memory itself.
        """
        units = self._all_memory.shape[2]
        self._received = received.to(self._gates.dtype).unbind()
        pair = self._gates[..., : 2 * units]
        first, _, candidate, output = torch.split(self._gates, units, dim=2)
        slopes = torch.empty_like(self._gates)
        of_pair = slopes[..., : 2 * units]
        of_first, of_forget, of_candidate, of_output = torch.split(slopes, units, dim=2)
        torch.addcmul(pair, pair, pair, value=-1, out=of_pair)
        of_first.mul_(candidate)
        of_forget.mul_(self._all_memory[:-1])
        torch.mul(candidate, candidate, out=of_candidate)
        of_candidate.neg_().add_(1).mul_(first)
        torch.addcmul(output, output, output, value=-1, out=of_output).mul_(self._bounded)
        self._kept = torch.addcmul(output, output * self._bounded, self._bounded, value=-1).unbind()
        by_memory = slopes[..., : 3 * units].view(*slopes.shape[:2], 3, units)
        self._by_memory, self._by_state = by_memory.unbind(), of_output.unbind()
        return slopes, slopes

    def backward(self, step: int, product: Tensor) -> None:
        """Multiply the slopes by the memory's gradient and the state's."""
        assert self.of_memory is not None
        gradient = self._received[step] + product
        self.of_memory.addcmul_(gradient, self._kept[step])
        self._by_memory[step].mul_(self.of_memory.unsqueeze(1))
        self._by_state[step].mul_(gradient)
        self.of_memory.mul_(self._forgets[step])

    def finish_backward(self, product: Tensor) -> Tensor:
        """Nothing is left."""
        return product.to(self._gates.dtype)


class RnnWalk:
    """Elman 1990: h' = f(a + b), a the inputs' part, b the product; f is tanh or relu."""

    of_memory: Tensor | None = None

    def __init__(
        self, gates: Tensor, states: Tensor, before: Tensor, memory: Tensor | None
    ) -> None:
        self._type = before.dtype
        self._gates, self._states = gates.to(before.dtype).unbind(), states.unbind()
        self._outputs = states[1:]

    def forward(self, step: int, product: Tensor) -> None:
        """Fill states[step + 1]."""
        self._activate(self._gates[step].add_(product), self._states[step + 1])

    def prepare_backward(self, received: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the slopes of f."""
        self._received = received.to(self._type).unbind()
        gradients = self._slopes(self._outputs.to(self._type))
        self._gradients = gradients.unbind()
        return gradients, gradients

    def backward(self, step: int, product: Tensor) -> None:
        """Multiply the slopes by the gradient."""
        self._gradients[step].mul_(self._received[step] + product)

    def finish_backward(self, product: Tensor) -> Tensor:
        """Nothing is left."""
        return product.to(self._type)

    def _activate(self, sums: Tensor, out: Tensor) -> None:
        torch.tanh(sums, out=out)

    def _slopes(self, outputs: Tensor) -> Tensor:
        return 1 - outputs * outputs


class ReluWalk(RnnWalk):
    """The same with f(x) = max(x, 0)."""

    def _activate(self, sums: Tensor, out: Tensor) -> None:
        out.copy_(sums.clamp_(min=0))

    def _slopes(self, outputs: Tensor) -> Tensor:
        return (outputs > 0).to(outputs.dtype)


class GruWalk:
    """Cho et al. 2014, with the reset gate after the product, as cuDNN has it.

    With a the inputs' part and b the product, both cut into reset, update and candidate:

        r = sigmoid(a_r + b_r)    z = sigmoid(a_z + b_z)    n = tanh(a_n + r b_n)
        h' = (1 - z) n + z h
    """

    of_memory: Tensor | None = None

    def __init__(
        self, gates: Tensor, states: Tensor, before: Tensor, memory: Tensor | None
    ) -> None:
        gates, units = gates.to(before.dtype), before.shape[1]
        self._pairs = gates[..., : 2 * units].unbind()  # reset and update, then in place r and z
        self._resets, self._updates, self._candidates = (
            gate.unbind() for gate in torch.split(gates, units, dim=2)
        )
        self._inner = before.new_empty(len(gates), *before.shape)  # b_n
        self._inners = self._inner.unbind()
        self._gates, self._all, self._state = gates, states, before.clone()
        self._states, self._units = states.unbind(), units

    def forward(self, step: int, product: Tensor) -> None:
        """Fill states[step + 1]; gates become r, z and n."""
        units = self._units
        self._pairs[step].add_(product[:, : 2 * units]).sigmoid_()
        inner = self._inners[step].copy_(product[:, 2 * units :])
        candidate = self._candidates[step].addcmul_(self._resets[step], inner).tanh_()
        torch.lerp(candidate, self._state, self._updates[step], out=self._state)
        self._states[step + 1].copy_(self._state)

    def prepare_backward(self, received: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the gradients for a gradient of one at each states[step + 1].

        d n = (1 - z)(1 - n²), d z = (h - n) z (1 - z), d r = d n · b_n r (1 - r); the product's
        candidate is r d n.
        """
        reset, update, candidate = torch.split(self._gates, self._units, dim=2)
        slopes = torch.empty_like(self._gates)
        of_reset, of_update, of_inner = torch.split(slopes, self._units, dim=2)
        self._of_candidate = (1 - candidate * candidate).mul_(1 - update)
        torch.sub(self._all[:-1], candidate, out=of_update).mul_(update)
        of_update.addcmul_(of_update, update, value=-1)
        torch.mul(self._of_candidate, reset, out=of_inner)
        torch.mul(of_inner, self._inner, out=of_reset)
        of_reset.addcmul_(of_reset, reset, value=-1)
        self._slopes = slopes.view(*slopes.shape[:2], 3, self._units).unbind()
        self._of_product, self._of_inputs = slopes, torch.empty_like(slopes)
        # Each becomes the whole gradient of its state: with what later ones pass back.
        self._received = received.to(slopes.dtype, copy=True)
        self._gradients = self._received.unbind()
        self._direct = torch.zeros_like(self._state)
        return self._of_inputs, slopes

    def backward(self, step: int, product: Tensor) -> None:
        """Multiply the slopes by the gradient; a share z goes straight to the state before."""
        gradient = self._gradients[step].add_(product).add_(self._direct)
        self._slopes[step].mul_(gradient.unsqueeze(1))
        torch.mul(gradient, self._updates[step], out=self._direct)

    def finish_backward(self, product: Tensor) -> Tensor:
        """Let the inputs' candidates, too, receive their gradient: d n."""
        units = self._units
        self._of_inputs[..., : 2 * units] = self._of_product[..., : 2 * units]
        torch.mul(self._of_candidate, self._received, out=self._of_inputs[..., 2 * units :])
        return self._direct + product


WALKS: dict[str, type[Walk]] = {
    "lstm": LstmWalk,
    "gru": GruWalk,
    "tanh": RnnWalk,
    "relu": ReluWalk,
}
