"""The fused cells against PyTorch's own, and against the derivative by differences."""

import pytest
import torch
from torch import nn

from charlm.model.fused import fused_layer

KINDS = ["lstm", "gru", "tanh", "relu"]
ROWS = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}


def plain(kind, inputs, state, weights):
    """Run PyTorch's cell, operation by operation."""
    settings = (True, 1, 0.0, True, False, True)
    if kind == "lstm":
        before = [tensor.unsqueeze(0) for tensor in state]
        outputs, hidden, memory = torch.lstm(inputs, before, list(weights), *settings)
        return outputs, (hidden[0], memory[0])
    run = {"gru": torch.gru, "tanh": torch.rnn_tanh, "relu": torch.rnn_relu}[kind]
    outputs, last = run(inputs, state[0].unsqueeze(0), list(weights), *settings)
    return outputs, (last[0],)


def arguments(kind, streams=3, steps=5, size=4, units=6, dtype=torch.float64):
    torch.manual_seed(len(kind) + streams)
    rows = units * ROWS[kind]
    states = [(streams, units)] * (2 if kind == "lstm" else 1)
    shapes = [(streams, steps, size), *states, (rows, size), (rows, units), (rows,), (rows,)]
    made = [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]
    return made[0], tuple(made[1:-4]), tuple(made[-4:])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("streams", "steps"), [(3, 5), (1, 7), (4, 1), (1, 1)])
def test_outputs_and_all_gradients_are_those_of_the_plain_cell(kind, streams, steps):
    inputs, state, weights = arguments(kind, streams, steps)
    everything = [inputs, *state, *weights]
    slopes = torch.randn(streams, steps, 6, dtype=torch.float64)
    results = []
    for run in (fused_layer, plain):
        outputs, after = run(kind, inputs, state, weights)
        loss = (outputs * slopes).sum() + sum((last**3).sum() for last in after)
        results.append([outputs, *after, *torch.autograd.grad(loss, everything)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_the_function(kind):
    inputs, state, weights = arguments(kind)

    def read(*tensors):
        outputs, after = fused_layer(kind, tensors[0], tensors[1:-4], tensors[-4:])
        return outputs, *after

    assert torch.autograd.gradcheck(read, (inputs, *state, *weights))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_given_is_altered_and_a_window_can_be_read_twice(kind):
    inputs, state, weights = arguments(kind)
    before = [tensor.detach().clone() for tensor in (inputs, *state, *weights)]
    first, _ = fused_layer(kind, inputs, state, weights)
    kept = first.detach().clone()
    second, _ = fused_layer(kind, inputs, state, weights)
    (first.sum() + second.sum()).backward()
    assert torch.equal(first, kept) and torch.equal(second, kept)
    for tensor, copy in zip((inputs, *state, *weights), before, strict=True):
        assert torch.equal(tensor, copy)


@pytest.mark.parametrize("kind", KINDS)
def test_in_bfloat16_it_is_the_same_but_for_rounding(kind):
    inputs, state, weights = arguments(kind, units=16, dtype=torch.float32)
    with torch.no_grad():
        for weight in weights:
            weight.mul_(0.2)
    exact, _ = fused_layer(kind, inputs, state, weights)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, _ = fused_layer(kind, inputs, state, weights)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.05)
    gradients = []
    for outputs in (exact, rounded.float()):
        gradients.append(torch.autograd.grad(outputs.sum(), [inputs, *state, *weights]))
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours - theirs).norm() < 0.05 * theirs.norm()


def test_the_layer_learns_to_remember_a_bit():
    torch.manual_seed(1)
    rows = 3 * 8
    weights = [nn.Parameter(torch.randn(rows, size) * 0.3) for size in (1, 8)]
    weights += [nn.Parameter(torch.zeros(rows)) for _ in range(2)]
    optimizer = torch.optim.Adam(weights, lr=0.03)
    for _ in range(150):
        bits = torch.randint(0, 2, (32, 1, 1)).float()
        inputs = torch.cat([2 * bits - 1, torch.zeros(32, 5, 1)], dim=1)
        _, (last,) = fused_layer("gru", inputs, (torch.zeros(32, 8),), tuple(weights))
        loss = (last[:, 0] - (2 * bits[:, 0, 0] - 1) * 0.5).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.01
