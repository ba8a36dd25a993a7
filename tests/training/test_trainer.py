"""The loop: budgets, the best weights, patience, accumulation, bad steps, stop requests."""

import itertools
import json
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from charlm.errors import DivergedError, OutOfMemoryError, UsageError
from charlm.storage import LineLog
from charlm.training.budget import Budget
from charlm.training.checkpoints import Checkpoints
from charlm.training.loop import LoopOptions
from charlm.training.optimizers import OptimizerOptions
from charlm.training.progress import Progress
from charlm.training.task import Score
from charlm.training.trainer import Trainer

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

    def batches(self, position, progress):
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

    def share(self, batch, rank, size):
        return batch

    def pack(self, state):
        return [state]

    def unpack(self, tensors):
        return tensors[0]

    def validate(self, rank, size, stop):
        if self.scores is not None:
            return Score(next(self.scores), 1)
        return Score(float(((self.module.weight[0].detach() - SLOPE) ** 2).sum()), 1)


def trainer(
    task, budget, *, loop=None, progress=None, stop=lambda: False, folder=None, **optimizer
):
    options = OptimizerOptions(**{"learning_rate": 0.1, "weight_decay": 0.0} | optimizer)
    progress = progress or Progress(budget)
    checkpoints = None if folder is None else Checkpoints(folder)
    return Trainer(task, budget, options, loop or LoopOptions(), progress, stop, checkpoints)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_it_learns(optimizer):
    task = LineTask()
    state = trainer(task, Budget(steps=200), optimizer=optimizer).fit()
    assert state.step == 200 and state.best_nats < 1e-2
    torch.testing.assert_close(task.module.weight[0].detach(), SLOPE, atol=0.1, rtol=0)


def test_a_budget_in_targets_is_counted_in_targets():
    state = trainer(LineTask(streams=8), Budget(targets=80)).fit()
    assert (state.step, state.targets) == (10, 80)


def test_a_budget_in_time_ends_on_time_with_a_rate_of_zero(tmp_path, monkeypatch):
    ticks = itertools.count()  # a clock of its own: no other program can make a step slow
    clock = SimpleNamespace(perf_counter=lambda: next(ticks) / 4000)
    monkeypatch.setattr("charlm.training.trainer.time", clock)
    budget = Budget(seconds=1.0)
    with Progress(budget, metrics=LineLog(tmp_path / "metrics.jsonl")) as progress:
        state = trainer(LineTask(), budget, progress=progress).fit()
    assert 0.99 < state.seconds < 1.01
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


def test_no_validation_comes_shortly_before_the_last(tmp_path):
    budget = Budget(steps=100)
    with Progress(budget, metrics=LineLog(tmp_path / "metrics.jsonl")) as progress:
        loop = LoopOptions(validate_every=0.33)
        trainer(LineTask(), budget, loop=loop, progress=progress).fit()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "validation_nats" in line] == [33, 66, 100]


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


def test_d8_a_bad_step_is_skipped_and_counted():
    task = LineTask(spoil=[3, 7])
    state = trainer(task, Budget(steps=200)).fit()
    assert state.skipped_steps == 2 and state.best_nats < 1e-2
    assert float(task.seen[4][0]) == 0, "the state starts anew after a bad step"


def test_nothing_but_bad_steps_is_a_divergence():
    with pytest.raises(DivergedError, match="diverged"):
        trainer(LineTask(spoil=range(100)), Budget(steps=100)).fit()


def test_d8_three_bad_steps_in_a_row_go_back_to_the_last_checkpoint_at_half_the_rate(tmp_path):
    class Spoiled(LineTask):
        def loss(self, batch, state):
            nats, after = super().loss(batch, state)
            return (nats * math.nan if 30 <= len(self.seen) < 33 else nats), after

    log = LineLog(tmp_path / "metrics.jsonl")
    budget = Budget(steps=200)
    with Progress(budget, metrics=log) as progress:
        state = trainer(
            Spoiled(),
            budget,
            loop=LoopOptions(save_steps=10),
            progress=progress,
            folder=tmp_path / "checkpoints",
        ).fit()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "skipped" in line] == [30, 31, 32]
    assert [line for line in lines if "rolled_back_to" in line] == [
        {"step": 32, "rolled_back_to": 20, "learning_rate_factor": 0.5}
    ]
    assert (state.step, state.rollbacks, state.skipped_steps) == (200, 1, 3)
    assert state.best_nats < 1e-2


def test_d8_after_three_returns_a_run_has_diverged(tmp_path):
    task = LineTask(spoil=range(5, 100))
    run = trainer(task, Budget(steps=100), folder=tmp_path)
    with pytest.raises(DivergedError, match="after 3 returns"):
        run.fit()
    good = Checkpoints(tmp_path).newest()
    assert good.state["step"] == 0, "no weights after the bad steps are kept"


def test_d11_weights_that_are_not_finite_are_never_saved(tmp_path):
    task = LineTask()
    run = trainer(task, Budget(steps=20), loop=LoopOptions(save_steps=5), folder=tmp_path)
    original, spoiled = run.optimizer.step, []

    def step():
        original()
        if run.state.step == 9 and not spoiled:
            spoiled.append(True)
            with torch.no_grad():
                task.module.weight.fill_(math.inf)

    run.optimizer.step = step
    state = run.fit()
    assert spoiled and state.rollbacks == 1 and state.step == 20
    assert torch.isfinite(task.module.weight).all()


def test_d12_memory_that_is_short_is_met_with_smaller_pieces():
    class Short(LineTask):
        def loss(self, batch, state):
            if len(batch) > 2:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return super().loss(batch, state)

    tasks = [Short(), LineTask()]
    states = [trainer(task, Budget(steps=20)).fit() for task in tasks]
    assert states[0].pieces == 4 and states[1].pieces == 1
    torch.testing.assert_close(tasks[0].module.weight, tasks[1].module.weight)


def test_d12_memory_that_stays_short_is_said():
    class Short(LineTask):
        def loss(self, batch, state):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(OutOfMemoryError, match="16 pieces"):
        trainer(Short(streams=64), Budget(steps=20)).fit()


@pytest.mark.parametrize("stops", [[7], [20], [3, 4, 33], [1, 2, 3, 50, 119]])
def test_a_run_resumed_is_the_run_uninterrupted(tmp_path, stops):
    def run_to(folder, end=None, resume=False):
        torch.manual_seed(0)
        checkpoints, budget = Checkpoints(folder / "checkpoints"), Budget(steps=120)
        checkpoint = checkpoints.newest() if resume else None
        keep = checkpoint.state["progress"]["logs"]["metrics"] if checkpoint else None
        log = LineLog(folder / "metrics.jsonl", keep)
        with Progress(budget, metrics=log) as progress:
            run = trainer(LineTask(), budget, progress=progress, folder=folder / "checkpoints")
            run.stop_requested = lambda: end is not None and run.state.step >= end
            if checkpoint:
                run.restore(checkpoint)
            run.fit()
        last = sorted((folder / "checkpoints").iterdir())[-1]
        names = ("model", "optimizer", "carried", "best")
        files = [last / f"{name}.safetensors" for name in names]
        return [file.read_bytes() for file in files if file.exists()] + [
            (folder / "metrics.jsonl").read_bytes()
        ]

    whole = run_to(tmp_path / "whole")
    for number, end in enumerate(stops):
        run_to(tmp_path / "parts", end, resume=number > 0)
    assert run_to(tmp_path / "parts", resume=True) == whole


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


def test_a_save_outside_the_regular_course_does_not_stand_for_one_of_it(tmp_path):
    one = trainer(LineTask(), Budget(steps=10), folder=tmp_path)
    one.save()
    one.state.step = 10
    one.save(scheduled=False)
    assert one.state.scheduled_step == 0
    assert LoopOptions(save_steps=5).save_is_due(11, one.state.scheduled_step, 0.0)
