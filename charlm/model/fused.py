"""Recurrent layers over a window on a CPU, with their own walk back through time.

PyTorch runs GRU and RNN operation by operation there and keeps a graph of hundreds of nodes. Here a
step forward is one matrix product and a few operations in place; on the way back only what a step
hands to the one before it is computed step by step, and all gradients of weights and inputs are two
large products over the whole window. The steps of each cell are in `charlm.model.walks`.

Legend: B streams, T steps, I inputs, H hidden units, G gates (4 LSTM, 3 GRU, 1 RNN).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.model.chunked import autocast_type
from charlm.model.state import State
from charlm.model.walks import WALKS, Walk


def fused_layer(
    kind: str, inputs: Tensor, state: State, weights: Sequence[Tensor]
) -> tuple[Tensor, State]:
    """Read inputs (B, T, I) from a state of (B, H); give outputs (B, T, H) and the state after.

    kind: "lstm", "gru", or "tanh" or "relu" for an RNN. weights: as in `RecurrentLayer`, input's
    and recurrent, and their biases.
    """
    hidden, memory = state if kind == "lstm" else (*state, None)
    outputs, *after = _FusedLayer.apply(WALKS[kind], inputs, hidden, memory, *weights)  # type: ignore[no-untyped-call]
    return outputs, (outputs[:, -1], *after)


class _FusedLayer(torch.autograd.Function):
    """One layer over one window."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        kind: type[Walk],
        inputs: Tensor,
        before: Tensor,
        memory_before: Tensor | None,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
    ) -> tuple[Tensor, ...]:
        half, window = autocast_type(inputs), inputs.shape[1]
        with torch.autocast(inputs.device.type, enabled=False):
            rows = inputs.transpose(0, 1).flatten(0, 1).to(half)  # (T·B, I)
            gates = rows @ weight_ih.T.to(half)  # (T·B, G·H)
            gates = _units_first(gates.to(before.dtype), window) + bias_ih.unsqueeze(1)
            hidden = _room_for(before, window)
            memory = None if memory_before is None else _room_for(memory_before, window)
            walk = kind(gates, hidden, bias_hh.unsqueeze(1), memory)
            recurrent, product = weight_hh.to(half), torch.empty_like(gates[0])
            for step, state in enumerate(hidden[:-1].unbind()):
                walk.forward(step, _multiply(recurrent, state, product))
        ctx.save_for_backward(rows, weight_ih, weight_hh)
        ctx.walk, ctx.hidden, ctx.type = walk, hidden, inputs.dtype
        outputs = hidden[1:].permute(2, 0, 1).contiguous()  # (B, T, H)
        return (outputs,) if memory is None else (outputs, memory[-1].T.contiguous())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, received: Tensor, of_memory: Tensor | None = None) -> Any:  # noqa: ANN401
        rows, weight_ih, weight_hh = ctx.saved_tensors
        walk, hidden, half = ctx.walk, ctx.hidden, rows.dtype
        window = len(hidden) - 1
        with torch.autocast(received.device.type, enabled=False):
            of_outputs = received.permute(1, 2, 0).contiguous().unbind()  # T of (H, B)
            if of_memory is not None:
                walk.of_memory = of_memory.T.clone()
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
            None if walk.of_memory is None else walk.of_memory.T,
            (by_inputs.T @ rows).to(weight_ih.dtype),
            (by_product.T @ states).to(weight_hh.dtype),
            by_inputs.sum(0, dtype=weight_ih.dtype),
            by_product.sum(0, dtype=weight_hh.dtype),
        )


def _room_for(before: Tensor, window: int) -> Tensor:
    """Make (T + 1, H, B), of which the first is what was before, (B, H)."""
    states = before.new_empty(window + 1, before.shape[1], before.shape[0])
    states[0] = before.T
    return states


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
