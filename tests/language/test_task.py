"""The language task: state carried and detached, slices equal the whole, a fair quick score."""

import itertools
import math

import numpy as np
import pytest
import torch

from charlm.batches.padded import PaddedBatches
from charlm.batches.streams import Streams
from charlm.batches.windows import Windows
from charlm.language.task import LanguageTask
from charlm.language.validation import Validation, tokens_worth_scoring
from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig
from charlm.training.budget import Budget
from charlm.training.loop import LoopOptions
from charlm.training.optimizers import OptimizerOptions
from charlm.training.progress import Progress
from charlm.training.trainer import Trainer

V = 17
CPU = torch.device("cpu")


def network_of(cell="lstm", **keywords):
    torch.manual_seed(0)
    return LanguageNetwork(NetworkConfig(V, 6, 8, cell=cell, **keywords))


def ids_of(length, seed=0):
    steps = np.random.default_rng(seed).integers(1, 4, size=length)
    return (np.cumsum(steps) % V).astype(np.uint8)


def task_of(network, ids=None, batch_size=4, window=8, padded=False, **keywords):
    ids = ids_of(400) if ids is None else ids
    if padded:
        boundaries = np.arange(0, len(ids), 13)
        batches = PaddedBatches(ids, boundaries, batch_size=batch_size, window=window, seed=1)
    else:
        windows = Windows(window, window)
        batches = Streams(ids, batch_size=batch_size, windows=windows, seed=1)
    return LanguageTask(network, batches, None, CPU, bf16=False)


def test_the_state_is_carried_and_detached():
    task = task_of(network_of())
    first, second = [batch for batch, _ in itertools.islice(task.batches(None), 2)]
    nats, state = task.loss(first, None)
    assert nats.requires_grad and not any(tensor.requires_grad for tensor in state)
    carried, _ = task.loss(second, state)
    anew, _ = task.loss(second, None)
    assert float(carried.detach()) != float(anew.detach())


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_slices_give_the_gradient_of_the_whole(padded, cell):
    found = []
    for pieces in (1, 3):
        network = network_of(cell)
        task, budget = task_of(network, padded=padded), Budget(steps=6)
        trainer = Trainer(
            task,
            budget,
            OptimizerOptions("sgd", 0.1, 0.0, 1.0),
            LoopOptions(accumulate=pieces),
            Progress(budget),
        )
        trainer.fit()
        found.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("padded", [False, True])
def test_it_learns(padded):
    ids = (np.arange(2000) % V).astype(np.uint8)
    task, budget = task_of(network_of(), ids, padded=padded), Budget(steps=150)
    before = float(task.loss(next(task.batches(None))[0], None)[0].detach())
    Trainer(
        task, budget, OptimizerOptions(learning_rate=0.02), LoopOptions(), Progress(budget)
    ).fit()
    after = float(task.loss(next(task.batches(None))[0], None)[0].detach())
    assert after < before / 4


def test_the_quick_score_is_near_the_exact_one():
    network, ids = network_of().eval(), ids_of(40_000)
    quick = Validation(ids).nats_per_token(network, CPU)
    tensor = torch.from_numpy(ids.astype(np.int64))[None]
    exact, _ = network.nats(tensor[:, :-1], tensor[:, 1:], network.initial_state(1))
    assert quick == pytest.approx(float(exact.mean()), rel=1e-3)


def test_a_short_text_is_scored_exactly():
    network, ids = network_of().eval(), ids_of(100)
    tensor = torch.from_numpy(ids.astype(np.int64))[None]
    exact, _ = network.nats(tensor[:, :-1], tensor[:, 1:], network.initial_state(1))
    quick = Validation(ids).nats_per_token(network, CPU)
    assert quick == pytest.approx(float(exact.mean()), rel=1e-5)


def test_no_more_is_scored_than_is_learned_from_between_two_scores():
    assert tokens_worth_scoring(0.1 * 200 * 560) == 11_200
    assert tokens_worth_scoring(1) == 10_000 and tokens_worth_scoring(math.inf) == 120_000
    assert tokens_worth_scoring(100_000, timed=True) == 6_000  # a fiftieth of the time
    assert tokens_worth_scoring(1, timed=True) == 1_000
    network, ids = network_of().eval(), ids_of(40_000)
    score = Validation(ids, max_tokens=11_200).score(network, CPU)
    assert 11_000 < score.targets <= 11_200 and score.complete


def test_a_window_at_random_takes_a_step_as_large_as_it_is_long(monkeypatch):
    network, windows = network_of(), Windows(20, 20, random=True)
    streams = Streams(ids_of(3_000), batch_size=4, windows=windows, seed=1)
    task, budget, rates = (
        LanguageTask(network, streams, None, CPU, bf16=False),
        Budget(steps=30),
        [],
    )
    loop = LoopOptions(schedule="constant", warmup=0.0)
    trainer = Trainer(task, budget, OptimizerOptions("sgd", 0.5, 0.0, 1.0), loop, Progress(budget))
    original = trainer.train_step

    def step(batch):
        original(batch)
        rates.append((batch.inputs.shape[1], trainer.optimizer.param_groups[0]["lr"]))

    trainer.train_step = step
    trainer.fit()
    assert len({steps for steps, _ in rates}) > 5
    assert all(rate == pytest.approx(0.5 * steps / 20) for steps, rate in rates)
