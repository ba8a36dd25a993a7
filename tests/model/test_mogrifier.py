"""The Mogrifier: its equations and their gradients, and the plain LSTM where it gates nothing."""

import pytest
import torch
from torch import nn

from charlm.model.mogrifier import SUMMED
from charlm.model.recurrent import RecurrentConfig, RecurrentStack
from charlm.model.state import detach_state, select_state

B, T, I, H = 3, 7, 5, 6  # noqa: E741
ROUNDS = [(1, 0), (2, 0), (5, 0), (4, 2)]  # and the rank


def stack_of(rounds=5, rank=0, layers=2, inputs=I, units=H, **keywords):
    torch.manual_seed(0)
    extras = {"mogrifier": rounds, "mogrifier_rank": rank}
    return RecurrentStack(RecurrentConfig(inputs, units, layers, **extras, **keywords)).eval()


def random_state(stack, streams=B):
    return tuple(torch.randn_like(tensor) for tensor in stack.initial_state(streams))


def read_plainly(layer, inputs, hidden, memory):
    """Follow the paper's equations word by word: the reference, for autograd."""
    outputs = []
    for x in inputs.unbind(1):
        for i, matrix in enumerate(layer.mogrifier.rounds, start=1):
            full = matrix.left @ matrix.right if matrix.rank else matrix.weight
            if i % 2 == 1:
                x = 2 * torch.sigmoid(hidden @ full.T) * x
            else:
                hidden = 2 * torch.sigmoid(x @ full.T) * hidden
        weights = layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh
        hidden, memory = torch.lstm_cell(x, (hidden, memory), *weights)
        outputs.append(hidden)
    return torch.stack(outputs, dim=1), hidden, memory


@pytest.mark.parametrize("rounds, rank", ROUNDS)
def test_outputs_state_and_gradients_are_those_of_the_equations(rounds, rank):
    stack = stack_of(rounds, rank).double()
    state = [tensor.requires_grad_() for tensor in random_state(stack)]
    inputs = torch.randn(B, T, I, dtype=torch.float64, requires_grad=True)
    outputs, after = stack(inputs, tuple(state))
    first, *end = read_plainly(stack.layers[0], inputs, *state[:2])
    second, *other_end = read_plainly(stack.layers[1], first, *state[2:])
    torch.testing.assert_close((outputs, *after), (second, *end, *other_end))
    draws = [torch.randn_like(tensor) for tensor in (outputs, *after)]
    everything = [inputs, *state, *stack.parameters()]
    found, expected = (
        torch.autograd.grad(
            sum((a * b).sum() for a, b in zip(draws, all_, strict=True)), everything
        )
        for all_ in ((outputs, *after), (second, *end, *other_end))
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("rank", [0, 1])
def test_the_gradient_is_that_of_the_function(rank):
    stack = stack_of(3, rank, layers=1, inputs=2, units=3).double()
    layer, state = stack.layers[0], random_state(stack, 2)
    names, values = zip(*layer.named_parameters(), strict=True)
    inputs = torch.randn(2, 2, 2, dtype=torch.float64)

    def function(inputs, hidden, memory, *weights):
        own = dict(zip(names, weights, strict=True))
        outputs, after = torch.func.functional_call(layer, own, (inputs, (hidden, memory)))
        return outputs, *after

    tensors = [tensor.detach().requires_grad_() for tensor in (inputs, *state, *values)]
    torch.autograd.gradcheck(function, tensors)


@pytest.mark.parametrize("rounds, rank", ROUNDS)
def test_with_matrices_of_zeros_it_is_the_plain_lstm(rounds, rank):
    stack, plain = stack_of(rounds, rank).double(), stack_of(0).double()
    for layer, other in zip(stack.layers, plain.layers, strict=True):
        for matrix in layer.mogrifier.rounds.parameters():
            nn.init.zeros_(matrix)
        other.load_state_dict(layer.state_dict(), strict=False)
    inputs, state = torch.randn(B, T, I, dtype=torch.float64), random_state(stack)
    torch.testing.assert_close(stack(inputs, state), plain(inputs, state), rtol=1e-13, atol=1e-14)


def test_it_adds_nothing_but_its_matrices_to_an_lstm_and_draws_them_last():
    layer, plain = (stack_of(rounds, layers=1).layers[0].state_dict() for rounds in (2, 0))
    assert set(plain) == {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}
    added = {name: tuple(layer[name].shape) for name in set(layer) - set(plain)}
    assert added == {"mogrifier.rounds.0.weight": (I, H), "mogrifier.rounds.1.weight": (H, I)}
    for name, weight in plain.items():
        assert torch.equal(weight, layer[name])


@pytest.mark.parametrize("rank", [0, 16])
def test_it_begins_near_the_plain_lstm(rank):
    layer = stack_of(1, rank, layers=1, inputs=64, units=256).layers[0]
    state = (torch.rand(8, 256) - 0.5, torch.zeros(8, 256))
    (matrices,) = layer.mogrifier.rounds
    product = state[0]
    for matrix in matrices(torch.float32):
        product = product @ matrix.T
    gates = 2 * product.sigmoid()
    assert 0 < float((gates - 1).detach().abs().max()) < 0.5


@pytest.mark.parametrize("rounds, rank", ROUNDS)
def test_step_by_step_and_piece_by_piece_is_the_same_as_at_once(rounds, rank):
    stack, length = stack_of(rounds, rank), SUMMED + 9
    inputs, state = torch.randn(B, length, I), random_state(stack)
    whole, after = stack(inputs, state)
    for size in (1, 10, SUMMED):
        carried, pieces = state, []
        for part in inputs.split(size, dim=1):
            outputs, carried = stack(part, carried)
            pieces.append(outputs)
        torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(carried, after, atol=1e-5, rtol=1e-5)


def test_nothing_leaks_from_the_future_nor_between_streams():
    stack = stack_of()
    inputs = torch.randn(B, T, I, requires_grad=True)
    outputs, _ = stack(inputs, random_state(stack))
    outputs[1, 3].sum().backward()
    touched = inputs.grad.abs().sum(dim=2) > 0
    assert touched[1, :4].all()
    assert not touched[1, 4:].any() and not touched[0].any() and not touched[2].any()


def test_a_window_with_resets_is_its_documents_read_one_by_one():
    stack = stack_of()
    inputs, state = torch.randn(B, T, I), random_state(stack)
    resets = torch.zeros(B, T, dtype=torch.bool)
    resets[1, 3] = resets[2, 0] = resets[2, 5] = True
    outputs, after = stack(inputs, state, resets)
    for stream in range(B):
        own, row = select_state(state, torch.tensor([stream])), inputs[stream : stream + 1]
        for t in range(T):
            own = stack.initial_state(1) if resets[stream, t] else own
            output, own = stack(row[:, t : t + 1], own)
            torch.testing.assert_close(outputs[stream, t], output[0, 0])
        torch.testing.assert_close(select_state(after, torch.tensor([stream])), own)


def test_dropout_of_recurrent_weights_is_the_same_for_a_window_and_only_in_training():
    stack = stack_of(weight_dropout=0.5, layer_dropout=0.5).train()
    half = torch.randn(1, T, I)
    resets = torch.zeros(1, 2 * T, dtype=torch.bool)
    resets[0, T] = True
    outputs, _ = stack(torch.cat([half, half], dim=1), stack.initial_state(1), resets)
    torch.testing.assert_close(outputs[:, T:], outputs[:, :T])
    again, _ = stack(half, stack.initial_state(1))
    assert not torch.allclose(again, outputs[:, :T])
    stack.eval()
    first, second = (stack(half, stack.initial_state(1))[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("window", [10, 300])
def test_in_bfloat16_state_and_gradients_are_those_of_float32_but_for_rounding(window):
    stack = stack_of(5, 0, layers=2, inputs=16, units=32)
    inputs, draw = torch.randn(4, window, 16), torch.randn(4, window, 32) + 0.3
    state, results = random_state(stack, 4), []
    for rounded in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
            outputs, after = stack(inputs, detach_state(state))
        assert outputs.dtype == (torch.bfloat16 if rounded else torch.float32)
        assert {tensor.dtype for tensor in after} == {torch.float32}
        gradients = torch.autograd.grad((outputs * draw).sum(), list(stack.parameters()))
        results.append([outputs.float().detach(), *detach_state(after), *gradients])
    for exact, half in zip(*results, strict=True):
        assert float((half - exact).norm() / exact.norm()) < 0.015


@pytest.mark.parametrize("rank", [0, 2])
def test_it_learns_to_remember_a_bit(rank):
    stack = stack_of(5, rank, layers=1, inputs=1, units=8).train()
    optimizer = torch.optim.Adam(stack.parameters(), lr=0.03)
    for _ in range(150):
        bits = torch.randint(0, 2, (32, 1, 1)).float()
        inputs = torch.cat([2 * bits - 1, torch.zeros(32, 5, 1)], dim=1)
        outputs, _ = stack(inputs, stack.initial_state(32))
        loss = (outputs[:, -1, 0] - (2 * bits[:, 0, 0] - 1) * 0.5).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.01
