"""Averaged weights: the arithmetic mean, begun when algorithm 1 says, and no other run for it."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from charlm.errors import ModelError, UsageError
from charlm.training.averaging import NON_MONOTONE, Averaging
from charlm.training.budget import Budget
from charlm.training.checkpoints import Checkpoints
from charlm.training.loop import LoopOptions
from charlm.training.optimizers import OptimizerOptions
from charlm.training.progress import Progress
from charlm.training.task import Score
from charlm.training.trainer import Trainer

SLOPE = torch.tensor([2.0, -1.0, 0.5])


class NoisyTask:
    """Learns a slope from noisy points, one step for each number of a position."""

    def __init__(self, scores=None, spoil=()):
        self.module = nn.Linear(3, 1)
        nn.init.zeros_(self.module.weight)
        nn.init.zeros_(self.module.bias)
        self.scores = None if scores is None else iter(scores)
        self.spoil = spoil
        self.validated = []

    def batches(self, position, progress):
        for number in itertools.count(position or 0):
            generator = torch.Generator().manual_seed(number)
            inputs = torch.randn(8, 3, generator=generator)
            targets = inputs @ SLOPE + torch.randn(8, generator=generator)
            yield (inputs * (torch.nan if number in self.spoil else 1), targets), number + 1

    def share(self, batch, rank, size):
        return batch

    def split(self, batch, state, pieces):
        return [(batch, state)]

    def join(self, states):
        return states[0]

    def loss(self, batch, state):
        inputs, targets = batch
        return (self.module(inputs)[:, 0] - targets).square().sum(), torch.zeros(8)

    def num_targets(self, batch):
        return 8

    def validate(self, rank, size, stop):
        self.validated.append(self.module.weight.detach().clone())
        if self.scores is not None:
            return Score(next(self.scores), 1)
        return Score(float((self.module.weight[0].detach() - SLOPE).square().sum()), 1)

    def pack(self, state):
        return [torch.zeros(0) if state is None else state]

    def unpack(self, tensors):
        return tensors[0]


def trainer_of(task, average, folder=None, steps=60, **loop):
    options = LoopOptions(average=average, schedule="constant", warmup=0.0, **loop)
    budget = Budget(steps=steps)
    checkpoints = None if folder is None else Checkpoints(folder)
    optimizer = OptimizerOptions("sgd", 0.1, 0.0, 10.0)
    return Trainer(task, budget, optimizer, options, Progress(budget), checkpoints=checkpoints)


def weights_after_each_step(trainer):
    """Let a trainer run; collect the weights that its steps gave."""
    found, original = [], trainer.train_step

    def step(batch):
        original(batch)
        found.append(trainer.task.module.weight.detach().clone())

    trainer.train_step = step
    trainer.fit()
    return found


@pytest.mark.parametrize("share, steps", [("0.5", 30), ("0.25", 15), ("1", 60)])
def test_a_share_is_the_mean_of_the_last_steps(share, steps):
    task = NoisyTask()
    found = weights_after_each_step(trainer_of(task, share))
    mean = torch.stack(found[-steps:]).double().mean(0).float()
    torch.testing.assert_close(task.validated[-1], mean)


def test_the_mean_is_what_remains_of_a_run_without_validations():
    task = NoisyTask()
    task.validate = lambda rank, size, stop: None
    found = weights_after_each_step(trainer_of(task, "0.1"))
    torch.testing.assert_close(task.module.weight.detach(), torch.stack(found[-6:]).mean(0))


def test_the_mean_is_better_than_the_last_weights():
    distances = []
    for average in ("none", "0.5"):
        task = NoisyTask()
        task.scores = itertools.count(1000, -1)  # the last is the best
        trainer_of(task, average, steps=400).fit()
        distances.append(float((task.module.weight[0].detach() - SLOPE).norm()))
    assert distances[1] < distances[0]


@given(st.lists(st.integers(0, 6), max_size=25))
def test_it_begins_where_algorithm_1_says(scores):
    averaging = Averaging(nn.Linear(2, 2), LoopOptions(average="triggered"))
    logs, begun = [], None
    for t, nats in enumerate(scores):
        n = NON_MONOTONE
        if begun is None and t > n and nats > min(logs[: t - n]):
            begun = t
        logs.append(nats)
        averaging.judge(float(nats))
        averaging.follow(0.5)
        assert averaging.is_on == (begun is not None), (logs, t)


def test_validations_and_averages_change_nothing_of_the_run_itself(tmp_path):
    models = []
    for average in ("none", "0.7", "triggered"):
        task = NoisyTask(scores=itertools.cycle([1.0, 2.0, 3.0]))
        trainer_of(task, average, tmp_path / average, validate_every=0.05).fit()
        last = max((tmp_path / average).iterdir())
        names = {path.stem for path in last.glob("*.safetensors")}
        assert ("average" in names) == (average != "none")
        models.append((last / "model.safetensors").read_bytes())
    assert models[0] == models[1] == models[2]


def test_the_best_weights_may_be_an_average(tmp_path):
    task = NoisyTask(scores=[5.0, 6.0, 4.0, 9.0])
    trainer_of(task, "0.6", validate_every=0.25).fit()
    assert torch.equal(task.module.weight, task.validated[2])


def test_a_bad_step_is_no_part_of_the_mean():
    task = NoisyTask(spoil=(45, 50))
    found = weights_after_each_step(trainer_of(task, "0.5"))
    good = [found[number] for number in range(30, 60) if number not in (45, 50)]
    torch.testing.assert_close(task.validated[-1], torch.stack(good).mean(0))


def test_what_a_return_to_a_checkpoint_undoes_is_no_part_of_the_mean(tmp_path):
    class Spoiled(NoisyTask):
        losses = 0

        def loss(self, batch, state):
            self.losses += 1
            nats, after = super().loss(batch, state)
            return (nats * torch.nan if 34 <= self.losses < 37 else nats), after

    task = Spoiled()
    run = trainer_of(task, "1", tmp_path, save_steps=10)
    found = weights_after_each_step(run)
    assert run.state.rollbacks == 1 and run._kept.averaging.state()["steps"] == 60
    good = torch.stack(found[:30] + found[-30:]).double().mean(0).float()
    torch.testing.assert_close(task.validated[-1], good)


@pytest.mark.parametrize("average", ["0.5", "triggered"])
@pytest.mark.parametrize("stops", [[7], [31], [20, 33, 34, 59]])
def test_a_run_resumed_is_the_run_uninterrupted(tmp_path, average, stops):
    def run_to(folder, end=None):
        torch.manual_seed(0)
        task = NoisyTask()
        run = trainer_of(task, average, folder, validate_every=0.05)
        run.stop_requested = lambda: end is not None and run.state.step >= end
        if (checkpoint := run.checkpoints.newest()) is not None:
            run.restore(checkpoint)
        run.fit()
        last = max(folder.iterdir())
        state = [torch.cat([p.detach().flatten() for p in task.module.parameters()])]
        return state, {path.name: path.read_bytes() for path in last.glob("*.safetensors")}

    weights, files = run_to(tmp_path / "whole")
    assert "average.safetensors" in files
    for end in stops:
        run_to(tmp_path / "parts", end)
    again, same = run_to(tmp_path / "parts")
    assert same == files and torch.equal(again[0], weights[0])


def test_without_averaging_a_checkpoint_says_nothing_of_it(tmp_path):
    trainer_of(NoisyTask(), "none", tmp_path).fit()
    assert "averaging" not in Checkpoints(tmp_path).newest().state


def test_a_run_may_begin_to_average_when_it_is_resumed(tmp_path):
    first = trainer_of(NoisyTask(), "none", tmp_path)
    first.stop_requested = lambda: first.state.step >= 40
    first.fit()
    task = NoisyTask()
    second = trainer_of(task, "0.5", tmp_path)
    second.restore(second.checkpoints.newest())
    found = weights_after_each_step(second)
    torch.testing.assert_close(task.validated[-1], torch.stack(found).mean(0))


@pytest.mark.parametrize(
    "state",
    [
        {"began": True, "steps": 3, "scores": []},
        {"began": True, "steps": -3, "scores": []},
        {"began": True, "steps": "3", "scores": []},
        {"began": True, "steps": 0},
        {},
        [],
        None,
    ],
)
def test_a_strange_state_is_refused_in_a_sentence(tmp_path, state):
    run = trainer_of(NoisyTask(), "triggered", tmp_path)
    run.fit()
    checkpoint = run.checkpoints.newest()
    checkpoint.tensors.pop("average", None)
    checkpoint.state["averaging"] = state
    with pytest.raises(ModelError, match="checkpoint"):
        trainer_of(NoisyTask(), "triggered", tmp_path).restore(checkpoint)


@pytest.mark.parametrize("average", ["0", "1.5", "-0.1", "trigger", "", "nan", "inf", "0.0"])
def test_what_is_no_share_is_refused(average):
    with pytest.raises(UsageError, match=r"^average"):
        LoopOptions(average=average)


@pytest.mark.parametrize("average, progress", [("0.15", 0.85), ("1", 0.0), (".5", 0.5)])
def test_a_share_is_of_the_end(average, progress):
    assert LoopOptions(average=average).average_from == pytest.approx(progress)
