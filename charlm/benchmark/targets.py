"""How long it takes to learn a text to a fixed held-out score: charlm, and the textbook loop.

charlm trains as `charlm train` does, within minutes given beforehand, and is scored on the whole
held-out text. The textbook loop trains as long as it may; where that is not long enough, its time
is projected from that of its steps, without its validations, and from the number of epochs that it
is known to need.
"""

import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from charlm.benchmark.clock import alternate
from charlm.benchmark.goals import Goal
from charlm.benchmark.textbook import TextbookLoop, TextbookModel
from charlm.benchmark.texts import text_request, text_store
from charlm.language.fit import fit
from charlm.language.request import TrainRequest
from charlm.runs.dialogue import Tell

TEXTBOOK_SEED = 1


@dataclass(frozen=True)
class OwnRun:
    """One run of charlm: the time of its loop in seconds, and its score in nats per token.

    The score is that of the whole held-out text. What training itself validates on the way is a
    part of it, so that nothing can be said of a time before the end.
    """

    seed: int
    seconds: float
    nats: float


@dataclass(frozen=True)
class TextbookTime:
    """What the textbook loop takes to the goal; None where it is neither reached nor projected.

    scores: held-out nats per token after each epoch that it trained
    """

    seconds: float | None
    projected: bool
    seconds_per_epoch: float
    scores: list[float]


@dataclass(frozen=True)
class Target:
    """A goal, and how both came to it."""

    goal: Goal
    runs: list[OwnRun]
    textbook: TextbookTime | None

    @property
    def nats(self) -> float:
        """Give the median score of charlm's runs."""
        return statistics.median(run.nats for run in self.runs)

    @property
    def reached(self) -> float | None:
        """Give the median time of the runs that came to the goal, where most did."""
        goal = self.goal.nats
        times = sorted(run.seconds if run.nats <= goal else float("inf") for run in self.runs)
        middle = times[len(times) // 2]
        return None if middle == float("inf") else middle

    @property
    def ratio(self) -> float | None:
        """Tell how many times as long the textbook loop takes."""
        if self.reached is None or self.textbook is None or self.textbook.seconds is None:
            return None
        return self.textbook.seconds / self.reached


def race_to(goal: Goal, path: str, seeds: int, threads: int, patience: float, tell: Tell) -> Target:
    """Train on a text with charlm, once a seed, then with the textbook loop for `patience` s."""
    request = replace(text_request(goal.kind, path), threads=threads)
    runs = [_train(goal, path, replace(request, seed=seed + 1), tell) for seed in range(seeds)]
    textbook = None
    if goal.kind == "word":
        textbook = time_textbook(goal, textbook_loop(path, tell), patience, tell)
    return Target(goal, runs, textbook)


def textbook_loop(path: str, tell: Tell) -> TextbookLoop:
    """Make the textbook loop on the words that charlm itself learns from; tied, 2 x 200."""
    store = text_store("word", path, tell)
    torch.manual_seed(TEXTBOOK_SEED)
    model = TextbookModel(store.tokenizer.vocab_size)
    train = torch.from_numpy(store.train.ids.astype("int64"))
    valid = None
    if store.valid is not None:
        valid = torch.from_numpy(store.valid.ids.astype("int64"))
    return TextbookLoop(model, train, valid)


def time_textbook(goal: Goal, loop: TextbookLoop, patience: float, tell: Tell) -> TextbookTime:
    """Train epochs until the goal is reached or so many seconds are over; then project."""
    began, scores = time.perf_counter(), list[float]()
    while (taken := time.perf_counter() - began) < patience:
        loop.epoch()
        scores.append(loop.validate())
        taken = time.perf_counter() - began
        tell(f"textbook loop: epoch {len(scores)}, {scores[-1]:.4f} nats, {taken:.0f} s")
        if scores[-1] <= goal.nats:
            return TextbookTime(taken, False, taken / len(scores), scores)
    if scores:
        each = taken / len(scores)
    else:
        step = statistics.median(alternate({"step": loop.step}, rounds=5)["step"])
        each = step * loop.steps_per_epoch
    epochs = goal.textbook_epochs
    if epochs is None or epochs <= len(scores):  # nobody knows, or that many were not enough
        return TextbookTime(None, False, each, scores)
    return TextbookTime(epochs * each, True, each, scores)


def _train(goal: Goal, path: str, request: TrainRequest, tell: Tell) -> OwnRun:
    with tempfile.TemporaryDirectory(prefix="charlm-bench-") as folder:
        out = Path(folder) / "run"
        result = fit([path], replace(request, minutes=goal.seconds / 60, out=str(out)))
        assert result is not None and result.held_out is not None, "there was nothing to score"
        nats = result.held_out.nats / result.held_out.tokens
        seconds = result.state.seconds
    tell(f"charlm: seed {request.seed}, {nats:.4f} nats in {seconds:.1f} s")
    return OwnRun(request.seed, seconds, nats)
