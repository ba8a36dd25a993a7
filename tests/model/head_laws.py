"""What every head that sums its costs in chunks must obey, whatever its distribution."""

import numpy as np
import pytest
import torch

from charlm.model.network import LanguageNetwork


def gradients(total, head, outputs):
    """Give the gradients of 3 x the total: by the outputs, then by each parameter."""
    return torch.autograd.grad(3.0 * total, [outputs, *head.parameters()])


def check_gradient(head, outputs, targets, **options):
    """Compare the gradient of a head in double precision with differences of its function."""
    names, values = zip(*head.named_parameters(), strict=True)
    head._parameters.clear()

    def function(outputs, *weights):
        vars(head).update(zip(names, weights, strict=True))
        return head.nats_sum(outputs, targets)

    inputs = [outputs.detach().double().requires_grad_(), *values]
    torch.autograd.gradcheck(function, inputs, **options)


def check_autocast(head, outputs, targets):
    """In bfloat16 costs and gradients are float32, and close."""
    exact = head.nats_sum(outputs, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = head.nats_sum(outputs, targets)
        scored = head.nats(outputs, targets)
    assert half.dtype == scored.dtype == torch.float32
    torch.testing.assert_close(half, exact, rtol=0.02, atol=0)
    torch.testing.assert_close(scored.sum(), exact, rtol=0.02, atol=0)
    pairs = zip(gradients(half, head, outputs), gradients(exact, head, outputs), strict=True)
    for a, b in pairs:
        assert a.dtype == torch.float32
        assert float((a - b).norm() / b.norm()) < 0.03


def check_padding(head, outputs, targets):
    """A batch of nothing but padding costs nothing and moves nothing."""
    total = head.nats_sum(outputs, targets, torch.zeros(len(targets), dtype=torch.bool))
    assert float(total.detach()) == 0
    for gradient in gradients(total, head, outputs):
        assert not gradient.any()


def check_weight_gradient_is_never_copied(head, outputs, targets, place):
    """The large gradient, `place` among those that are made, is what the optimizer gets."""
    total = head.nats_sum(outputs, targets)
    made = total.grad_fn.gradients[place].data_ptr()
    (total / len(targets)).backward()
    assert head.weight.grad.data_ptr() == made


def check_learning(config):
    """A network learns a text whose second half is known from the first."""
    torch.manual_seed(0)
    network, size = LanguageNetwork(config), config.vocab_size
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.02)
    ids = torch.from_numpy(np.random.default_rng(0).zipf(1.3, size=(4, 33)) % size)
    ids = torch.cat([ids, ids], dim=1)
    costs = []
    for _ in range(150):
        nats, _ = network.nats_sum(ids[:, :-1], ids[:, 1:], network.initial_state(4))
        costs.append(float(nats.detach()) / ids[:, 1:].numel())
        optimizer.zero_grad()
        (nats / ids[:, 1:].numel()).backward()
        optimizer.step()
    assert costs[0] == pytest.approx(np.log(size), rel=0.1)
    assert costs[-1] < costs[0] / 8
