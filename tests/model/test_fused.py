"""The fused cells against PyTorch's own, and against the derivative by differences."""

import pytest
import torch
from torch import nn

from charlm.model.fused import fused_layer

KINDS = ["gru", "tanh", "relu"]


def plain(kind, inputs, hidden, weights):
    """Run PyTorch's cell, operation by operation."""
    settings = (True, 1, 0.0, True, False, True)
    run = {"gru": torch.gru, "tanh": torch.rnn_tanh, "relu": torch.rnn_relu}[kind]
    outputs, last = run(inputs, hidden.unsqueeze(0), list(weights), *settings)
    return outputs, last[0]


def arguments(kind, streams=3, steps=5, size=4, units=6, dtype=torch.float64):
    torch.manual_seed(len(kind) + streams)
    rows = units * (3 if kind == "gru" else 1)
    shapes = [(streams, steps, size), (streams, units), (rows, size), (rows, units), (rows,)]
    made = [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in [*shapes, (rows,)]]
    return made[0], made[1], tuple(made[2:])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("streams", "steps"), [(3, 5), (1, 7), (4, 1), (1, 1)])
def test_outputs_and_all_gradients_are_those_of_the_plain_cell(kind, streams, steps):
    inputs, hidden, weights = arguments(kind, streams, steps)
    everything = [inputs, hidden, *weights]
    slopes = torch.randn(streams, steps, 6, dtype=torch.float64)
    results = []
    for run in (fused_layer, plain):
        outputs, last = run(kind, inputs, hidden, weights)
        loss = (outputs * slopes).sum() + (last**3).sum()
        results.append([outputs, last, *torch.autograd.grad(loss, everything)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_the_function(kind):
    inputs, hidden, weights = arguments(kind)
    assert torch.autograd.gradcheck(
        lambda *tensors: fused_layer(kind, tensors[0], tensors[1], tensors[2:]),
        (inputs, hidden, *weights),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_given_is_altered_and_a_window_can_be_read_twice(kind):
    inputs, hidden, weights = arguments(kind)
    before = [tensor.detach().clone() for tensor in (inputs, hidden, *weights)]
    first, _ = fused_layer(kind, inputs, hidden, weights)
    kept = first.detach().clone()
    second, _ = fused_layer(kind, inputs, hidden, weights)
    (first.sum() + second.sum()).backward()
    assert torch.equal(first, kept) and torch.equal(second, kept)
    for tensor, copy in zip((inputs, hidden, *weights), before, strict=True):
        assert torch.equal(tensor, copy)


@pytest.mark.parametrize("kind", KINDS)
def test_in_bfloat16_it_is_the_same_but_for_rounding(kind):
    inputs, hidden, weights = arguments(kind, units=16, dtype=torch.float32)
    with torch.no_grad():
        for weight in weights:
            weight.mul_(0.2)
    exact, _ = fused_layer(kind, inputs, hidden, weights)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, _ = fused_layer(kind, inputs, hidden, weights)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.05)
    gradients = []
    for outputs in (exact, rounded):
        gradients.append(torch.autograd.grad(outputs.sum(), [inputs, hidden, *weights]))
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
        _, last = fused_layer("gru", inputs, torch.zeros(32, 8), tuple(weights))
        loss = (last[:, 0] - (2 * bits[:, 0, 0] - 1) * 0.5).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.01
