"""The loop: budgets, the best weights, patience, accumulation, bad steps, stop requests."""

import itertools
import json
import math

import pytest
import torch
from torch import nn

from charlm.errors import DivergedError, UsageError
from charlm.storage import LineLog
from charlm.training.budget import Budget
from charlm.training.optimizers import OptimizerOptions
from charlm.training.progress import Progress
from charlm.training.trainer import LoopOptions, Trainer

SLOPE = torch.tensor([2.0, -1.0, 0.5])


class LineTask:
    """Learns a slope from noiseless points; a state counts the batches it has been carried over."""

    def __init__(self, streams=8, scores=None, spoil=()):
        self.module = nn.Linear(3, 1, bias=False)
        nn.init.zeros_(self.module.weight)
        self.streams = streams
        self.scores = iter(scores) if scores is not None else None
        self.spoil = set(spoil)
        self.seen = []

    def batches(self, position):
        for number in itertools.count(position or 0):
            torch_seed = torch.Generator().manual_seed(number)
            inputs = torch.randn(self.streams, 3, generator=torch_seed)
            if number in self.spoil:
                inputs = inputs * math.nan
            yield inputs, number + 1

    def split(self, batch, state, pieces):
        state = torch.zeros(len(batch)) if state is None else state
        return list(zip(batch.chunk(pieces), state.chunk(pieces), strict=True))

    def join(self, states):
        return torch.cat(states)

    def loss(self, batch, state):
        self.seen.append(state.clone())
        return ((self.module(batch)[:, 0] - batch @ SLOPE) ** 2).sum(), state + 1

    def num_targets(self, batch):
        return len(batch)

    def validate(self):
        if self.scores is not None:
            return next(self.scores)
        return float(((self.module.weight[0].detach() - SLOPE) ** 2).sum())


def trainer(task, budget, *, loop=None, progress=None, stop=lambda: False, **optimizer):
    options = OptimizerOptions(**{"learning_rate": 0.1, "weight_decay": 0.0} | optimizer)
    progress = progress or Progress(budget)
    return Trainer(task, budget, options, loop or LoopOptions(), progress, stop)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_it_learns(optimizer):
    task = LineTask()
    state = trainer(task, Budget(steps=200), optimizer=optimizer).fit()
    assert state.step == 200 and state.best_nats < 1e-2
    torch.testing.assert_close(task.module.weight[0].detach(), SLOPE, atol=0.1, rtol=0)


def test_a_budget_in_targets_is_counted_in_targets():
    state = trainer(LineTask(streams=8), Budget(targets=80)).fit()
    assert (state.step, state.targets) == (10, 80)


def test_a_budget_in_time_ends_on_time_with_a_rate_of_zero(tmp_path):
    budget = Budget(seconds=1.0)
    with Progress(budget, metrics=LineLog(tmp_path / "metrics.jsonl")) as progress:
        state = trainer(LineTask(), budget, progress=progress).fit()
    assert 0.9 < state.seconds < 1.2
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    rates = [line["learning_rate"] for line in lines if "learning_rate" in line]
    assert max(rates) > 0.09 and rates[-1] < 0.005


def test_the_best_weights_are_kept():
    scores = [5.0, 1.0, 3.0, 4.0, 5.0]
    task = LineTask(scores=itertools.chain(scores, itertools.repeat(9.0)))
    weights = []
    run = trainer(task, Budget(steps=100))
    original = run.validate

    def validate():
        original()
        weights.append(task.module.weight.detach().clone())

    run.validate = validate
    state = run.fit()
    assert state.best_nats == 1.0
    assert torch.equal(task.module.weight, weights[1])
    assert not torch.equal(weights[1], weights[-1])


def test_patience_ends_a_run_that_no_longer_gains():
    task = LineTask(scores=itertools.chain([1.0], itertools.repeat(2.0)))
    state = trainer(task, Budget(steps=1000), loop=LoopOptions(patience=3)).fit()
    assert state.stopped_by == "patience" and 400 <= state.step < 500


def test_accumulation_gives_the_same_weights():
    tasks = [LineTask(), LineTask()]
    for task, pieces in zip(tasks, (1, 4), strict=True):
        trainer(task, Budget(steps=20), loop=LoopOptions(accumulate=pieces)).fit()
    torch.testing.assert_close(tasks[0].module.weight, tasks[1].module.weight)


def test_the_state_is_carried_from_step_to_step():
    task = LineTask()
    trainer(task, Budget(steps=5)).fit()
    assert [float(state[0]) for state in task.seen] == [0, 1, 2, 3, 4]


def test_a_bad_step_is_skipped_and_counted():
    task = LineTask(spoil=[3, 7])
    state = trainer(task, Budget(steps=200)).fit()
    assert state.skipped_steps == 2 and state.best_nats < 1e-2
    assert float(task.seen[4][0]) == 0, "the state starts anew after a bad step"


def test_nothing_but_bad_steps_is_a_divergence():
    with pytest.raises(DivergedError, match="diverged"):
        trainer(LineTask(spoil=range(100)), Budget(steps=100)).fit()


def test_a_stop_request_ends_the_loop_after_its_step():
    task = LineTask()
    state = trainer(task, Budget(steps=1000), stop=lambda: len(task.seen) >= 7).fit()
    assert (state.step, state.stopped_by) == (7, "request")


def test_metrics_hold_nothing_of_the_clock(tmp_path):
    texts = []
    for name in "ab":
        logs = {kind: LineLog(tmp_path / f"{name}-{kind}.jsonl") for kind in ("metrics", "timings")}
        budget = Budget(steps=120)
        with Progress(budget, **logs) as progress:
            trainer(LineTask(), budget, progress=progress).fit()
        texts.append((tmp_path / f"{name}-metrics.jsonl").read_text())
    assert texts[0] == texts[1] and "second" not in texts[0]


@pytest.mark.parametrize(
    "values",
    [{"warmup": 1.0}, {"accumulate": 0}, {"validate_every": 0}, {"patience": -1}],
)
def test_impossible_options_are_refused(values):
    with pytest.raises(UsageError):
        LoopOptions(**values)
