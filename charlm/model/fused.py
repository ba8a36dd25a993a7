"""Recurrent layers over a window on a CPU, with their own walk back through time.

PyTorch runs GRU and RNN operation by operation there and keeps a graph of hundreds of nodes. Here a
step forward is one matrix product and a few operations in place, or one that is compiled; on the
way back only what a step hands to the one before it is computed step by step, and all gradients of
weights and inputs are two large products over the whole window. The steps of each cell are in
`charlm.model.walks`, and compiled, where numba is installed, in `charlm.model.compiled`.

Legend: B streams, T steps, I inputs, H hidden units, G gates (4 LSTM, 3 GRU, 1 RNN).
"""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from charlm.model.chunked import autocast_type
from charlm.model.products import product_with
from charlm.model.state import State
from charlm.model.walks import WALKS, Walk


def fused_layer(
    kind: str, inputs: Tensor, state: State, weights: Sequence[Tensor]
) -> tuple[Tensor, State]:
    """Read inputs (B, T, I) from a state of (B, H); give outputs (B, T, H) and the state after.

    kind: "lstm", "gru", or "tanh" or "relu" for an RNN. weights: as in `RecurrentLayer`, input's
    and recurrent, and their biases. The outputs are in autocast's type, the state in its own.
    """
    hidden, memory = state[0], state[1] if len(state) > 1 else None
    walk = walk_of(kind, state, autocast_type(inputs))
    outputs, *after = _FusedLayer.apply(walk, inputs, hidden, memory, *weights)  # type: ignore[no-untyped-call]
    return outputs, (outputs[:, -1].to(hidden.dtype), *after)


def walk_of(kind: str, state: State, half: torch.dtype) -> type[Walk]:
    """Choose the compiled walk where numba is installed and knows the types, else the plain one."""
    carried = all(each.dtype == torch.float32 for each in state)
    if carried and half in (torch.float32, torch.bfloat16):
        return compiled_walks().get(kind, WALKS[kind])
    return WALKS[kind]


@cache
def compiled_walks() -> dict[str, type[Walk]]:
    """Give the walks that are compiled: none where numba, an extra, is not installed."""
    if find_spec("numba") is None:
        return {}
    from charlm.model.compiled import COMPILED_WALKS

    return COMPILED_WALKS


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
        half, (streams, window, _) = autocast_type(inputs), inputs.shape
        with torch.autocast(inputs.device.type, enabled=False):
            rows = inputs.transpose(0, 1).flatten(0, 1).to(half)  # (T·B, I)
            gates = functional.linear(rows, weight_ih.to(half), bias_ih.to(half))
            states = _room_for(before, window, half)
            memory = None
            if memory_before is not None:
                memory = _room_for(memory_before, window, memory_before.dtype)
            walk = kind(gates.view(window, streams, len(weight_ih)), states, before, memory)
            multiply = product_with(weight_hh.to(half), bias_hh.to(half), streams)
            for step, state in enumerate(states[:-1].unbind()):
                walk.forward(step, multiply(state))
        ctx.save_for_backward(rows, weight_ih, weight_hh)
        ctx.walk, ctx.states, ctx.type = walk, states, inputs.dtype
        outputs = states[1:].transpose(0, 1)  # (B, T, H)
        return (outputs,) if memory is None else (outputs, memory[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, received: Tensor, of_memory: Tensor | None = None) -> Any:  # noqa: ANN401
        rows, weight_ih, weight_hh = ctx.saved_tensors
        walk, states, half = ctx.walk, ctx.states, rows.dtype
        window, streams = len(states) - 1, states.shape[1]
        with torch.autocast(received.device.type, enabled=False):
            if of_memory is not None:
                walk.of_memory = of_memory.clone(memory_format=torch.contiguous_format)
            of_inputs, of_product = walk.prepare_backward(received.transpose(0, 1))
            multiply = product_with(weight_hh.T.contiguous().to(half), None, streams)
            product = torch.zeros_like(states[0])
            for step, of_step in reversed(list(enumerate(of_product.unbind()))):
                walk.backward(step, product)
                product = multiply(of_step.to(half))
            of_before = walk.finish_backward(product)
            by_product = of_product.flatten(0, 1).to(half)  # (T·B, G·H)
            by_inputs = by_product
            if of_inputs is not of_product:
                by_inputs = of_inputs.flatten(0, 1).to(half)
            of_rows = (by_inputs @ weight_ih.to(half)).view(window, streams, weight_ih.shape[1])
            before = states[:-1].flatten(0, 1)  # (T·B, H)
        return (
            None,
            of_rows.transpose(0, 1).to(ctx.type),
            of_before,
            walk.of_memory,
            (by_inputs.T @ rows).to(weight_ih.dtype),
            (by_product.T @ before).to(weight_hh.dtype),
            by_inputs.sum(0).to(weight_ih.dtype),
            by_product.sum(0).to(weight_hh.dtype),
        )


def _room_for(before: Tensor, window: int, kind: torch.dtype) -> Tensor:
    """Make (T + 1, B, H), of which the first is what was before, (B, H)."""
    states = before.new_empty(window + 1, *before.shape, dtype=kind)
    states[0] = before
    return states
