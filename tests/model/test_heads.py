"""The head: the chunked form is the plain one, in value and in every gradient."""

import pytest
import torch

from charlm.model import chunked, heads
from charlm.model.heads import SoftmaxHead

N, E, V = 37, 8, 50


@pytest.fixture
def case(monkeypatch):
    monkeypatch.setattr(heads, "PLAIN_NUMBERS", 0)
    monkeypatch.setattr(chunked, "CHUNK_NUMBERS", V * 10)
    monkeypatch.setattr(chunked, "SCORED_NUMBERS", V * 10)
    torch.manual_seed(0)
    head = SoftmaxHead(E, V)
    torch.nn.init.normal_(head.bias)
    return head, torch.randn(N, E, requires_grad=True), torch.randint(V, (N,))


def gradients(total, *tensors):
    return torch.autograd.grad(3.0 * total, tensors)


@pytest.mark.parametrize("filled", [0, 3])
@pytest.mark.parametrize("rows", [1, 10, N])
@pytest.mark.parametrize("masked", [False, True])
def test_the_chunked_sum_and_its_gradients_are_the_plain_ones(
    case, masked, rows, filled, monkeypatch
):
    monkeypatch.setattr(chunked, "CHUNK_NUMBERS", V * rows)
    monkeypatch.setattr(chunked, "_rows_held", lambda number, compiled: number + filled)
    head, outputs, targets = case
    mask = torch.rand(N) < 0.6 if masked else None
    ours = head.nats_sum(outputs, targets, mask)
    real = torch.ones(N, dtype=torch.bool) if mask is None else mask
    plain = head.plain_nats_sum(outputs[real], targets[real])
    torch.testing.assert_close(ours, plain)
    everything = (outputs, head.weight, head.bias)
    torch.testing.assert_close(gradients(ours, *everything), gradients(plain, *everything))


def test_the_gradient_is_that_of_the_function(case):
    head, outputs, targets = case
    head = head.double()
    inputs = outputs[:4].detach().double().requires_grad_()
    torch.autograd.gradcheck(lambda x: head.nats_sum(x, targets[:4]), inputs)


def test_a_graph_can_be_walked_twice(case):
    head, outputs, targets = case
    total = head.nats_sum(outputs, targets)
    everything = (outputs, head.weight, head.bias)
    first = torch.autograd.grad(total, everything, torch.tensor(3.0), retain_graph=True)
    again = torch.autograd.grad(total, everything, torch.tensor(3.0))
    torch.testing.assert_close(first, again)


def test_the_weights_gradient_is_made_once_and_never_copied(case):
    head, outputs, targets = case
    total = head.nats_sum(outputs, targets)
    made = total.grad_fn.gradients[1].data_ptr()
    (total / N).backward()
    assert head.weight.grad.data_ptr() == made


def test_in_double_precision_probabilities_sum_to_one_as_exactly(case):
    head, outputs, _ = case
    logs = head.double().log_probs(outputs.double())
    ones = torch.ones(N, dtype=torch.float64)
    torch.testing.assert_close(logs.exp().sum(dim=1), ones, atol=1e-9, rtol=0)


def test_under_autocast_it_stays_close(case):
    head, outputs, targets = case
    exact = head.nats_sum(outputs, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = head.nats_sum(outputs, targets)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, exact, rtol=0.02, atol=0)
    everything = (outputs, head.weight, head.bias)
    for a, b in zip(gradients(half, *everything), gradients(exact, *everything), strict=True):
        assert a.dtype == torch.float32
        assert float((a - b).norm() / b.norm()) < 0.03


def test_products_in_bfloat16_come_in_few_sizes():
    held = [chunked._rows_held(number, True) for number in range(1, 4097)]
    assert all(n <= h < max(n + 16, 1.25 * n) for n, h in enumerate(held, start=1))
    fitting = [chunked._rows_that_fit(number, True) for number in range(16, 4097)]
    assert all(0.75 * n < f <= n for n, f in enumerate(fitting, start=16) if n >= 64)
    assert len(set(held)) < 30 and set(fitting) <= set(held)
    assert [chunked._rows_that_fit(number, True) for number in (0, 1, 15)] == [1, 1, 15]
    assert chunked._rows_held(77, False) == chunked._rows_that_fit(77, False) == 77


def test_a_chunk_that_is_full_is_not_filled_up(monkeypatch):
    monkeypatch.setattr(chunked, "CHUNK_NUMBERS", V * 100)
    multiplied, linear = [], torch.nn.functional.linear

    def noted(rows, *others):
        multiplied.append(len(rows))
        return linear(rows, *others)

    monkeypatch.setattr(chunked.functional, "linear", noted)
    half = [torch.zeros(*shape, dtype=torch.bfloat16) for shape in [(250, E), (V, E)]]
    rest = torch.zeros(V), torch.zeros(250, dtype=torch.int64), torch.zeros(V, E), torch.zeros(V)
    chunked.add_nats_sum(*half, *rest)
    assert multiplied == [96, 96, 64]


def test_a_batch_of_nothing_but_padding_costs_and_teaches_nothing(case):
    head, outputs, targets = case
    total = head.nats_sum(outputs, targets, torch.zeros(N, dtype=torch.bool))
    assert float(total.detach()) == 0
    for gradient in gradients(total, outputs, head.weight, head.bias):
        assert not gradient.any()


def test_no_more_logits_are_held_than_allowed(case, monkeypatch):
    head, outputs, targets = case
    sizes, linear = [], torch.nn.functional.linear

    def measured(*arguments):
        logits = linear(*arguments)
        sizes.append(logits.numel())
        return logits

    monkeypatch.setattr(torch.nn.functional, "linear", measured)
    head.nats_sum(outputs, targets)
    head.nats(outputs, targets)
    assert max(sizes) <= V * 10 and sum(sizes) == 2 * N * V


def test_nats_and_probabilities_agree_and_sum_to_one(case):
    head, outputs, targets = case
    logs = head.log_probs(outputs)
    torch.testing.assert_close(logs.exp().sum(dim=1), torch.ones(N), atol=1e-5, rtol=0)
    nats = head.nats(outputs, targets)
    torch.testing.assert_close(-logs[torch.arange(N), targets], nats)
    torch.testing.assert_close(nats.sum(), head.nats_sum(outputs, targets))
    assert head.nats(outputs[:0], targets[:0]).shape == (0,)
