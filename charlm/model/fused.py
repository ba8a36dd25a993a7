"""GRU and RNN layers over a window on a CPU, with their own walk back through time.

PyTorch runs these cells operation by operation there and keeps a graph of hundreds of nodes. Here a
step forward is one matrix product and a few operations in place; on the way back only what a step
hands to the one before it is computed step by step, and all gradients of weights and inputs are two
large products over the whole window. A cell is a class with `forward` and `backward` for one step:
one that PyTorch lacks needs no more than that.

Legend: B streams, T steps, I inputs, H hidden units, G gates (3 GRU, 1 RNN). Within the walk, units
come before streams, (G·H, B): a product with few streams is quicker so.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.model.chunked import autocast_type


class Walk(Protocol):
    """The steps of one cell over one window.

    Made from the inputs' part of the gates (T, G·H, B), which it may overwrite; from hidden
    (T + 1, H, B), of which the first is given; and from the recurrent product's bias (G·H, 1).
    """

    def __init__(self, gates: Tensor, hidden: Tensor, bias: Tensor) -> None: ...

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


class RnnWalk:
    """Elman 1990: h' = f(a + b), a the inputs' part, b the product; f is tanh or relu."""

    def __init__(self, gates: Tensor, hidden: Tensor, bias: Tensor) -> None:
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

    def __init__(self, gates: Tensor, hidden: Tensor, bias: Tensor) -> None:
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


WALKS: dict[str, type[Walk]] = {"gru": GruWalk, "tanh": RnnWalk, "relu": ReluWalk}


def fused_layer(
    kind: str, inputs: Tensor, hidden: Tensor, weights: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Read inputs (B, T, I) from hidden (B, H); give outputs (B, T, H) and the last of them.

    kind: "gru", or "tanh" or "relu" for an RNN. weights: as in `RecurrentLayer`, input's and
    recurrent, and their biases.
    """
    outputs: Tensor = _FusedLayer.apply(WALKS[kind], inputs, hidden, *weights)  # type: ignore[no-untyped-call]
    return outputs, outputs[:, -1]


class _FusedLayer(torch.autograd.Function):
    """One layer over one window."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        kind: type[Walk],
        inputs: Tensor,
        before: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
    ) -> Tensor:
        half, window = autocast_type(inputs), inputs.shape[1]
        with torch.autocast(inputs.device.type, enabled=False):
            rows = inputs.transpose(0, 1).flatten(0, 1).to(half)  # (T·B, I)
            gates = rows @ weight_ih.T.to(half)  # (T·B, G·H)
            gates = _units_first(gates.to(before.dtype), window) + bias_ih.unsqueeze(1)
            hidden = before.new_empty(window + 1, before.shape[1], before.shape[0])
            hidden[0] = before.T
            walk = kind(gates, hidden, bias_hh.unsqueeze(1))
            recurrent, product = weight_hh.to(half), torch.empty_like(gates[0])
            for step, state in enumerate(hidden[:-1].unbind()):
                walk.forward(step, _multiply(recurrent, state, product))
        ctx.save_for_backward(rows, weight_ih, weight_hh)
        ctx.walk, ctx.hidden, ctx.type = walk, hidden, inputs.dtype
        return hidden[1:].permute(2, 0, 1).contiguous()  # (B, T, H)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, received: Tensor) -> Any:  # noqa: ANN401
        rows, weight_ih, weight_hh = ctx.saved_tensors
        walk, hidden, half = ctx.walk, ctx.hidden, rows.dtype
        window = len(hidden) - 1
        with torch.autocast(received.device.type, enabled=False):
            of_outputs = received.permute(1, 2, 0).contiguous().unbind()  # T of (H, B)
            of_inputs, of_product = walk.prepare_backward()
            recurrent = weight_hh.T.contiguous().to(half)
            gradient, product = torch.zeros_like(hidden[0]), torch.empty_like(hidden[0])
            for step in range(window - 1, -1, -1):
                direct = walk.backward(step, gradient.add_(of_outputs[step]))
                gradient = _multiply(recurrent, of_product[step], product)
                if direct is not None:
                    gradient = direct.add_(gradient)
            walk.finish_backward()
            by_product = _streams_first(of_product).to(half)  # (T·B, G·H)
            by_inputs = by_product
            if of_inputs is not of_product:
                by_inputs = _streams_first(of_inputs).to(half)
            states = _streams_first(hidden[:-1]).to(half)  # (T·B, H)
            of_rows = (by_inputs @ weight_ih.to(half)).view(window, -1, weight_ih.shape[1])
        return (
            None,
            of_rows.transpose(0, 1).to(ctx.type),
            gradient.T,
            (by_inputs.T @ rows).to(weight_ih.dtype),
            (by_product.T @ states).to(weight_hh.dtype),
            by_inputs.sum(0, dtype=weight_ih.dtype),
            by_product.sum(0, dtype=weight_hh.dtype),
        )


def _multiply(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """Multiply in the type of `left`, into `out`."""
    if left.dtype == out.dtype:
        return torch.mm(left, right, out=out)
    return out.copy_(left @ right.to(left.dtype))


def _units_first(rows: Tensor, window: int) -> Tensor:
    """Turn (T·B, X) into (T, X, B)."""
    return rows.view(window, -1, rows.shape[1]).transpose(1, 2)


def _streams_first(units: Tensor) -> Tensor:
    """Turn (T, X, B) into (T·B, X)."""
    return units.transpose(1, 2).flatten(0, 1)
