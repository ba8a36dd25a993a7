"""Penalties: the gradient that a hand computes, nats to the last bit, padding and slices exact."""

import numpy as np
import pytest
import torch

from charlm.batches.padded import pad
from charlm.batches.streams import Streams
from charlm.batches.windows import Windows
from charlm.language.task import LanguageTask
from charlm.model.network import LanguageNetwork
from charlm.model.penalties import Penalties, with_gradient_of
from charlm.model.shape import NetworkConfig
from charlm.training.budget import Budget
from charlm.training.gradients import Gradients
from charlm.training.processes import Processes

V, E, H = 11, 6, 5
B, T = 3, 7
BOTH = Penalties(2.0, 1.0)
CPU = torch.device("cpu")


def network_of(**options):
    torch.manual_seed(1)
    shape = {"vocab_size": V, "embed_size": E, "hidden_size": H, "num_layers": 2}
    return LanguageNetwork(NetworkConfig(**shape | options)).double()


def gradients_of(network, total):
    network.zero_grad()
    total.backward()
    return torch.cat([p.grad.flatten() for p in network.parameters()])


def ids_of(batch=B, steps=T):
    torch.manual_seed(2)
    return torch.randint(0, V, (batch, steps + 1))


@pytest.mark.parametrize("rate", [0.0, 0.4])
@pytest.mark.parametrize("penalties", [Penalties(2.0, 0.0), Penalties(0.0, 1.0), BOTH])
def test_the_gradient_is_that_of_the_papers_loss(penalties, rate):
    network, ids = network_of(output_dropout=rate), ids_of()
    state = network.initial_state(B)
    found = []
    for ours in (True, False):
        torch.manual_seed(3)  # the same dropout
        if ours:
            total, _ = network.nats_sum(
                ids[:, :-1], ids[:, 1:], state, None, None, penalties if ours else None
            )
        else:
            inputs = torch.nn.functional.embedding(ids[:, :-1], network.embedding)
            raw, _ = network.stack(inputs, state)  # (B, T, H)
            mask = torch.ones(B, 1, H, dtype=raw.dtype)
            if rate:
                mask = torch.empty_like(raw[:, :1]).bernoulli_(1 - rate) / (1 - rate)
            dropped = raw * mask
            logits = network.log_probs(network.projection(dropped))
            total = -logits.gather(-1, ids[:, 1:, None]).sum()
            total = total + penalties.activation * dropped.pow(2).mean() * B * T
            change = (raw[:, 1:] - raw[:, :-1]).pow(2).mean() * B * (T - 1)
            total = total + penalties.temporal * change
        found.append(gradients_of(network, total))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)
    assert found[0].abs().max() > 0


@pytest.mark.parametrize("penalties", [None, Penalties(), BOTH])
def test_nats_are_the_same_to_the_last_bit(penalties):
    network, ids = network_of(output_dropout=0.3).float(), ids_of()
    state = network.initial_state(B)
    values, gradients = [], []
    for each in (None, penalties):
        torch.manual_seed(3)
        nats, _ = network.nats_sum(ids[:, :-1], ids[:, 1:], state, penalties=each)
        values.append(nats.detach())
        gradients.append(gradients_of(network, nats))
    assert torch.equal(*values)
    assert torch.equal(*gradients) == (not penalties)


def test_a_penalty_that_is_not_finite_makes_the_step_a_bad_one():
    nats = torch.tensor(3.0, requires_grad=True)
    assert not with_gradient_of(nats, nats * torch.inf).isfinite()
    assert with_gradient_of(nats, nats * 7) == 3.0


def test_padding_costs_nothing():
    network = network_of()
    rng = np.random.default_rng(5)
    documents = [rng.integers(0, V, length) for length in (9, 4, 2)]
    whole = gradient_of_batch(network, pad(documents))
    apart = sum(gradient_of_batch(network, pad([document])) for document in documents)
    torch.testing.assert_close(whole, apart)


def gradient_of_batch(network, batch):
    task = LanguageTask(network, None, None, CPU, bf16=False, penalties=BOTH)
    return gradients_of(network, task.loss(batch, None)[0])


def test_no_change_is_counted_from_one_document_to_the_next():
    network, ids = network_of(), ids_of(2, 6)
    resets = torch.zeros(2, 6, dtype=torch.bool)
    resets[0, 3] = True
    state = network.initial_state(2)
    only = Penalties(0.0, 1.0)
    outputs, _ = network.stack(torch.nn.functional.embedding(ids[:, :-1], network.embedding), state)
    cut = only.total(outputs, outputs, None, resets)
    whole = only.total(outputs, outputs, None, None)
    jump = (outputs[0, 3] - outputs[0, 2]).square().sum() / H
    torch.testing.assert_close(whole - cut, jump.float())


def test_a_window_of_one_step_has_no_change():
    outputs = torch.randn(2, 1, H)
    assert Penalties(0.0, 1.0).total(outputs, outputs, None, None) == 0


@pytest.mark.parametrize("pieces", [2, 3])
def test_slices_add_up_to_the_whole(pieces):
    found = []
    for number in (1, pieces):
        network = network_of()
        ids = (np.arange(400) * 7 % V).astype(np.uint8)
        streams = Streams(ids, batch_size=6, windows=Windows(8, 8), seed=1)
        task = LanguageTask(network, streams, None, CPU, bf16=False, penalties=BOTH)
        batch, _ = next(task.batches(None))
        Gradients(task, Processes(), lambda: False, lambda: 0.0).gather(batch, None, number)
        found.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    torch.testing.assert_close(found[0], found[1])


def test_a_run_reports_nats_alone(tmp_path):
    from charlm.storage import LineLog
    from charlm.training.loop import LoopOptions
    from charlm.training.optimizers import OptimizerOptions
    from charlm.training.progress import Progress
    from charlm.training.trainer import Trainer

    lines = []
    for penalties in (None, Penalties(1e-30, 1e-30)):  # too little to change anything
        network, ids = network_of().float(), (np.arange(600) * 5 % V).astype(np.uint8)
        streams = Streams(ids, batch_size=4, windows=Windows(6, 6), seed=1)
        task = LanguageTask(network, streams, None, CPU, bf16=False, penalties=penalties)
        path = tmp_path / f"{penalties is None}.jsonl"
        budget = Budget(steps=50)
        with Progress(budget, metrics=LineLog(path)) as progress:
            options = OptimizerOptions("sgd", 0.1, 0.0, 1.0)
            Trainer(task, budget, options, LoopOptions(), progress).fit()
        lines.append(path.read_text())
    assert lines[0] == lines[1] != ""
