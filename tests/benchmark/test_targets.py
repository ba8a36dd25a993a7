"""Time to a target: goals are found by name, and what was not reached is not told as reached."""

import math

import pytest

from charlm.benchmark.goals import GOALS, goals_of
from charlm.benchmark.options import BenchOptions
from charlm.benchmark.suite import run_bench
from charlm.benchmark.targets import (
    OwnRun,
    Target,
    TextbookTime,
    textbook_loop,
    time_textbook,
)
from charlm.benchmark.texts import held_out_file
from charlm.errors import UsageError


def test_goals_are_found_by_the_name_of_folder_or_file(tmp_path):
    assert [goal.seconds for goal in goals_of("data/tinyshakespeare/input.txt", None, None)] == [
        5,
        120,
    ]
    [ptb] = goals_of("somewhere/ptb.train.txt", None, None)
    assert math.exp(ptb.nats) == pytest.approx(114.4) and ptb.textbook_epochs == 6
    [own] = goals_of(str(tmp_path / "book.txt"), 2.5, 1)
    assert (own.nats, own.seconds, own.kind) == (2.5, 60, "char")
    [quicker] = goals_of("ptb/ptb.train.txt", None, 0.5)
    assert quicker.seconds == 30 and quicker.nats == ptb.nats
    with pytest.raises(UsageError, match="no target is known") as wrong:
        goals_of("data/ptb-char/ptb.char.train.txt", None, None)
    assert "tinyshakespeare" in wrong.value.hint


def test_the_held_out_text_is_the_one_beside_it(tmp_path):
    for name in ("ptb.train.txt", "ptb.valid.txt", "train.txt"):
        (tmp_path / name).touch()
    assert held_out_file(str(tmp_path / "ptb.train.txt")) == str(tmp_path / "ptb.valid.txt")
    assert held_out_file(str(tmp_path / "train.txt")) is None
    assert held_out_file(str(tmp_path / "ptb.valid.txt")) is None


def test_a_target_tells_medians_and_a_run_that_missed_counts_as_slowest():
    assert GOALS[0].nats == 1.88
    runs = [OwnRun(1, 4.0, 1.8), OwnRun(2, 5.0, 2.2), OwnRun(3, 6.0, 1.88)]
    textbook = TextbookTime(60.0, True, 10.0, [])
    target = Target(GOALS[0], runs, textbook)
    assert (target.nats, target.reached, target.ratio) == (1.88, 6.0, 10.0)
    missed = Target(GOALS[0], runs[1:2], textbook)
    assert missed.reached is None and missed.ratio is None


class Scores:
    """A loop whose held-out scores are given beforehand."""

    steps_per_epoch = 7

    def __init__(self, *scores):
        self.scores = iter(scores)
        self.steps = 0

    def epoch(self):
        return 0.0

    def step(self):
        self.steps += 1

    def validate(self):
        return next(self.scores)


def test_the_textbook_loop_is_timed_to_the_goal_or_projected_and_says_so():
    words = next(goal for goal in GOALS if goal.textbook_epochs)
    reached = time_textbook(words, Scores(9.0, 1.0, 0.5), 60, lambda line: None)
    assert reached.scores == [9.0, 1.0] and not reached.projected
    projected = time_textbook(words, Scores(), 0, lambda line: None)
    assert projected.projected and projected.scores == []
    assert projected.seconds == words.textbook_epochs * projected.seconds_per_epoch
    unknown = time_textbook(GOALS[0], Scores(), 0, lambda line: None)
    assert unknown.seconds is None and unknown.seconds_per_epoch > 0


@pytest.mark.parametrize("minutes, projected", [(3, True), (6, False), (9, False)])
def test_epochs_that_were_not_enough_are_not_projected(monkeypatch, minutes, projected):
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    class Minute(Scores):
        def epoch(self):
            clock[0] += 60.0

    words = next(goal for goal in GOALS if goal.textbook_epochs == 6)
    tried = time_textbook(words, Minute(*[9.0] * 20), 60.0 * minutes, lambda line: None)
    assert len(tried.scores) == minutes and tried.seconds_per_epoch == 60
    assert tried.projected == projected
    assert tried.seconds == (360 if projected else None)


def test_a_text_is_learned_to_a_target_by_both(text_file):
    options = BenchOptions(
        only="targets", target=20.0, minutes=0.01, seeds=1, threads=1, textbook_minutes=0.0
    )
    told = []
    [target] = run_bench([str(text_file)], options, told.append).targets
    assert target.goal.kind == "char" and target.textbook is None
    assert 0 < target.runs[0].nats < 20 and target.reached > 0
    loop = textbook_loop(str(text_file), told.append)
    assert loop.steps_per_epoch > 0


def test_targets_need_a_text():
    with pytest.raises(UsageError, match="targets need a text"):
        run_bench([], BenchOptions(only="targets"), lambda line: None)
