"""Recurrent layers: PyTorch's own on equal weights, causal, the same step by step."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from charlm.model import recurrent
from charlm.model.fused import fused_layer
from charlm.model.recurrent import (
    MISTAKEN_UNITS,
    SLOW_UNITS,
    RecurrentConfig,
    RecurrentLayer,
    RecurrentStack,
)
from charlm.model.shape import GATES
from charlm.model.state import detach_state, select_state
from charlm.training.precision import has_bf16

B, T, I, H = 3, 7, 5, 6  # noqa: E741
CELLS = [("lstm", "tanh"), ("gru", "tanh"), ("rnn", "tanh"), ("rnn", "relu")]
REFERENCE = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def stack_of(cell, nonlinearity, layers=1, **keywords):
    torch.manual_seed(0)
    config = RecurrentConfig(I, H, layers, cell, nonlinearity, **keywords)
    return RecurrentStack(config).eval()


def reference_of(stack):
    config = stack.config
    keywords = {"nonlinearity": config.nonlinearity} if config.cell == "rnn" else {}
    reference = REFERENCE[config.cell](I, H, config.num_layers, batch_first=True, **keywords)
    for number, layer in enumerate(stack.layers):
        for name, weight in layer.named_parameters():
            getattr(reference, f"{name}_l{number}").data.copy_(weight.data)
    return reference


def in_pytorchs_form(state, cell):
    """Stack the layers: (h, c) for an LSTM, h for the others."""
    if cell == "lstm":
        return torch.stack(tuple(state[0::2])), torch.stack(tuple(state[1::2]))
    return torch.stack(tuple(state))


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def random_state(stack):
    return tuple(torch.randn_like(tensor) for tensor in stack.initial_state(B))


@pytest.mark.parametrize("cell, nonlinearity", CELLS)
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_outputs_state_and_gradients_are_pytorchs(cell, nonlinearity, layers):
    stack = stack_of(cell, nonlinearity, layers)
    reference = reference_of(stack)
    state = tuple(tensor.requires_grad_() for tensor in random_state(stack))
    inputs = torch.randn(B, T, I, requires_grad=True)
    outputs, after = stack(inputs, state)
    expected, expected_after = reference(inputs, in_pytorchs_form(state, cell))
    close(outputs, expected)
    close(in_pytorchs_form(after, cell), expected_after)
    draws = [torch.randn_like(tensor) for tensor in (outputs, *after)]
    ours = sum((t * d).sum() for t, d in zip((outputs, *after), draws, strict=True))
    theirs = (expected * draws[0]).sum()
    ends = expected_after if cell == "lstm" else (expected_after,)
    end_draws = in_pytorchs_form(draws[1:], cell)
    end_draws = end_draws if cell == "lstm" else (end_draws,)
    theirs = theirs + sum((t * d).sum() for t, d in zip(ends, end_draws, strict=True))
    names = [(n, name) for n in range(layers) for name, _ in stack.layers[n].named_parameters()]
    weights = [getattr(stack.layers[n], name) for n, name in names]
    their_weights = [getattr(reference, f"{name}_l{n}") for n, name in names]
    close(
        torch.autograd.grad(ours, [inputs, *state, *weights]),
        torch.autograd.grad(theirs, [inputs, *state, *their_weights]),
    )


@pytest.mark.parametrize("cell, nonlinearity", CELLS)
def test_step_by_step_is_the_same_as_at_once(cell, nonlinearity):
    stack = stack_of(cell, nonlinearity, 2)
    inputs, state = torch.randn(B, T, I), random_state(stack)
    whole, after = stack(inputs, state)
    steps = []
    for t in range(T):
        output, state = stack(inputs[:, t : t + 1], state)
        steps.append(output)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state, after, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cell, nonlinearity", CELLS)
def test_nothing_leaks_from_the_future_nor_between_streams(cell, nonlinearity):
    stack = stack_of(cell, nonlinearity, 2)
    inputs = torch.randn(B, T, I, requires_grad=True)
    outputs, _ = stack(inputs, stack.initial_state(B))
    outputs[1, 3].sum().backward()
    touched = inputs.grad.abs().sum(dim=2) > 0
    assert touched[1, :4].all()
    assert not touched[1, 4:].any() and not touched[0].any() and not touched[2].any()


@pytest.mark.parametrize("cell, nonlinearity", CELLS)
def test_a_reset_begins_a_stream_anew(cell, nonlinearity):
    stack = stack_of(cell, nonlinearity, 2)
    inputs, state = torch.randn(B, T, I), random_state(stack)
    resets = torch.zeros(B, T, dtype=torch.bool)
    resets[0, 0] = resets[1, 3] = resets[1, 6] = True
    outputs, after = stack(inputs, state, resets)
    initial = stack.initial_state(1)

    def alone(stream, start, end, begin):
        return stack(inputs[stream : stream + 1, start:end], begin)

    torch.testing.assert_close(outputs[0:1], alone(0, 0, T, initial)[0])
    own = select_state(state, torch.tensor([1]))
    torch.testing.assert_close(outputs[1:2, :3], alone(1, 0, 3, own)[0])
    torch.testing.assert_close(outputs[1:2, 3:6], alone(1, 3, 6, initial)[0])
    last, last_state = alone(1, 6, T, initial)
    torch.testing.assert_close(outputs[1:2, 6:], last)
    torch.testing.assert_close(select_state(after, torch.tensor([1])), last_state)
    untouched = select_state(state, torch.tensor([2]))
    torch.testing.assert_close(outputs[2:3], alone(2, 0, T, untouched)[0])


@pytest.mark.parametrize("cell, nonlinearity", CELLS)
def test_a_reset_does_not_draw_the_dropped_weights_and_units_anew(cell, nonlinearity):
    stack = stack_of(cell, nonlinearity, 2, layer_dropout=0.5, weight_dropout=0.5).train()
    inputs = torch.randn(1, T, I)
    inputs[:, 4:] = inputs[:, : T - 4]
    resets = torch.zeros(1, T, dtype=torch.bool)
    resets[0, 4] = True
    outputs, _ = stack(inputs, stack.initial_state(1), resets)
    torch.testing.assert_close(outputs[:, 4:], outputs[:, : T - 4])


resets_in_a_window = st.lists(
    st.lists(st.booleans(), min_size=T, max_size=T), min_size=B, max_size=B
).map(torch.tensor)


@pytest.mark.parametrize("cell", GATES)
@settings(max_examples=15)
@given(resets=resets_in_a_window)
def test_a_window_with_resets_is_its_documents_read_one_by_one(cell, resets):
    stack = stack_of(cell, "tanh", 2)
    inputs, state = torch.randn(B, T, I), random_state(stack)
    outputs, after = stack(inputs, state, resets)
    for stream in range(B):
        own, row = select_state(state, torch.tensor([stream])), inputs[stream : stream + 1]
        for t in range(T):
            own = stack.initial_state(1) if resets[stream, t] else own
            output, own = stack(row[:, t : t + 1], own)
            close(outputs[stream : stream + 1, t : t + 1], output)
        close(select_state(after, torch.tensor([stream])), own)


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("rates", [{"layer_dropout": 0.5}, {"weight_dropout": 0.5}])
def test_a_reset_changes_neither_the_other_streams_nor_what_is_dropped(cell, rates):
    stack = stack_of(cell, "tanh", 2, **rates).train()
    inputs, state = torch.randn(B, T, I), random_state(stack)
    resets = torch.zeros(B, T, dtype=torch.bool)
    resets[0, 2] = resets[0, 5] = True
    torch.manual_seed(1)
    plain, _ = stack(inputs, state)
    torch.manual_seed(1)
    outputs, _ = stack(inputs, state, resets)
    close(outputs[1:], plain[1:])
    close(outputs[0, :2], plain[0, :2])
    assert not torch.allclose(outputs[0, 2:], plain[0, 2:])


def test_no_gradient_passes_a_reset():
    stack = stack_of("lstm", "tanh", 2)
    inputs = torch.randn(B, T, I, requires_grad=True)
    resets = torch.zeros(B, T, dtype=torch.bool)
    resets[1, 4] = True
    outputs, _ = stack(inputs, stack.initial_state(B), resets)
    outputs[:, -1].sum().backward()
    touched = inputs.grad.abs().sum(dim=2) > 0
    assert touched[0].all() and touched[1, 4:].all() and not touched[1, :4].any()


@pytest.mark.parametrize("cell, nonlinearity", CELLS)
def test_windows_under_autocast_stay_close_also_over_resets(cell, nonlinearity):
    if cell == "lstm" and not has_bf16(torch.device("cpu")):
        pytest.skip("this processor has no bfloat16, and PyTorch's LSTM then none either")
    stack = stack_of(cell, nonlinearity, 2)
    resets = torch.zeros(B, T, dtype=torch.bool)
    resets[1, 3] = True
    state = half_state = stack.initial_state(B)
    for window, at in [(torch.randn(B, T, I), r) for r in (None, resets, None)]:
        outputs, state = stack(window, state, at)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half, half_state = stack(window, detach_state(half_state), at)
        assert float((half.float() - outputs).detach().abs().max()) < 0.05


@pytest.mark.parametrize("cell", GATES)
def test_recurrent_weights_begin_orthogonal(cell):
    layer = stack_of(cell, "tanh").layers[0]
    for gate in layer.weight_hh.detach().split(H):
        torch.testing.assert_close(gate @ gate.T, torch.eye(H), atol=1e-5, rtol=0)


def test_only_the_forget_gate_begins_with_a_bias():
    layer = stack_of("lstm", "tanh").layers[0]
    total = (layer.bias_ih + layer.bias_hh).detach()
    assert total.view(4, H).sum(dim=1).tolist() == [0, H, 0, 0]


def test_weight_dropout_is_drawn_anew_for_each_window_and_spares_the_weights():
    stack = stack_of("lstm", "tanh", weight_dropout=0.5).train()
    inputs, before = torch.randn(B, T, I), stack.layers[0].weight_hh.detach().clone()
    first, second = (stack(inputs, stack.initial_state(B))[0] for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(stack.layers[0].weight_hh, before)
    stack.eval()
    first, second = (stack(inputs, stack.initial_state(B))[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("cell, nonlinearity", CELLS)
@pytest.mark.parametrize("size", [4, 9])
def test_the_last_layer_may_have_its_own_size(cell, nonlinearity, size):
    stack = stack_of(cell, nonlinearity, 2, output_size=size)
    inputs, before = torch.randn(B, T, I), random_state(stack)
    outputs, state = stack(inputs, before)
    assert outputs.shape == (B, T, size)
    keywords = {"nonlinearity": nonlinearity} if cell == "rnn" else {}
    below, n = inputs, stack.states_per_layer
    for number, (reads, units) in enumerate([(I, H), (H, size)]):
        layer = stack.layers[number]
        reference = REFERENCE[cell](reads, units, batch_first=True, **keywords)
        for name, weight in layer.named_parameters():
            getattr(reference, f"{name}_l0").data.copy_(weight.data)
        own = [part[None] for part in before[number * n : (number + 1) * n]]
        below, after = reference(below, tuple(own) if cell == "lstm" else own[0])
        after = after if cell == "lstm" else (after,)
        for ours, theirs in zip(state[number * n : (number + 1) * n], after, strict=True):
            close(ours, theirs[0])
    close(outputs, below)


@pytest.mark.parametrize("units", [SLOW_UNITS - 32, SLOW_UNITS, MISTAKEN_UNITS])
def test_in_bfloat16_gradients_of_wide_layers_are_those_of_float32_but_for_rounding(units):
    torch.manual_seed(0)
    layer = RecurrentLayer(16, units, RecurrentConfig(16, units))
    inputs = torch.randn(2, 5, 16, requires_grad=True)
    everything = [inputs, *layer.parameters()]
    results = []
    for rounded in (False, True):
        state = (torch.zeros(2, units), torch.zeros(2, units))
        with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
            outputs, after = layer(inputs, state)
        loss = outputs.float().square().sum() + sum(last.float().sum() for last in after)
        results.append(torch.autograd.grad(loss, everything))
    for exact, half in zip(*results, strict=True):
        assert float((half - exact).norm() / exact.norm()) < 0.03


@pytest.mark.parametrize(
    ("units", "rounded", "compiled", "own"),
    [
        (MISTAKEN_UNITS, True, False, 1),
        (MISTAKEN_UNITS, False, True, 0),
        (MISTAKEN_UNITS - 1, True, False, 0),
        (SLOW_UNITS, True, True, 1),
        (SLOW_UNITS - 1, True, True, 0),
    ],
)
def test_wide_layers_go_our_way_in_bfloat16_and_only_there(
    units, rounded, compiled, own, monkeypatch
):
    calls = []
    walks = {"lstm": None} if compiled else {}
    monkeypatch.setattr(recurrent, "compiled_walks", lambda: walks)

    def noted(kind, *arguments):
        calls.append(kind)
        return fused_layer(kind, *arguments)

    monkeypatch.setattr(recurrent, "fused_layer", noted)
    layer = RecurrentLayer(16, units, RecurrentConfig(16, units))
    with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
        layer(torch.randn(2, 3, 16), (torch.zeros(2, units), torch.zeros(2, units)))
    assert calls == ["lstm"] * own
