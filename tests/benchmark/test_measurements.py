"""The measurements: turns are taken, arithmetic is counted by hand, and shares are possible."""

import json
import math

import numpy as np
import pytest
import torch

from charlm.benchmark import memory, targets
from charlm.benchmark.ceilings import MatrixProduct, measure_ceilings
from charlm.benchmark.cells import CELLS, LayerPass, LayerShape, race_cell
from charlm.benchmark.clock import alternate, median_ratio
from charlm.benchmark.contest import race
from charlm.benchmark.goals import GOALS, goals_of, held_out_file
from charlm.benchmark.ids import synthetic_ids, whole_windows
from charlm.benchmark.options import BenchOptions
from charlm.benchmark.shapes import CHARACTERS, QUICK_WORDS, WORDS, flops_per_token, planned
from charlm.benchmark.steps import OwnStep, textbook_step
from charlm.benchmark.suite import run_bench
from charlm.benchmark.targets import OwnRun, Target, TextbookTime, time_below, time_textbook
from charlm.benchmark.throughput import measure_throughput
from charlm.errors import OutOfMemoryError, UsageError
from charlm.model.shape import NetworkConfig


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_contestants_take_turns_and_the_first_round_does_not_count():
    calls = []
    contestants = {name: lambda name=name: calls.append(name) for name in "AB"}
    seconds = alternate(contestants, rounds=3)
    assert "".join(calls) == "ABABABAB"
    assert {name: len(taken) for name, taken in seconds.items()} == {"A": 3, "B": 3}
    assert all(each > 0 for taken in seconds.values() for each in taken)


def test_a_ratio_is_the_median_of_the_rounds_and_so_not_upset_by_one():
    assert median_ratio([2.0, 90.0, 6.0], [1.0, 1.0, 2.0]) == 3.0


def test_a_race_says_how_many_times_as_fast_the_first_is(monkeypatch):
    now = iter(np.arange(0, 1000.0))
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0] + 0 * next(now))

    def taking(seconds):
        return lambda: clock.__setitem__(0, clock[0] + seconds)

    result = race("x", own=taking(2.0), other=taking(5.0), tokens=100, rounds=3)
    assert (result.own, result.other, result.ratio) == (50.0, 20.0, 2.5)


def test_ceilings_are_positive_and_bf16_only_where_it_is():
    ceilings = measure_ceilings(rounds=2, bf16=False, quick=True)
    assert ceilings.matrix_fp32 > 1e6 and ceilings.bandwidth > 1e6
    assert ceilings.matrix_bf16 is None
    assert measure_ceilings(rounds=1, bf16=True, quick=True).matrix_bf16 > 0


def test_a_product_counts_two_operations_for_each_multiply_add():
    product = MatrixProduct(16, torch.float32)
    assert product.flops == 2 * 16 * 16 * 16
    assert product().shape == (16, 16)


def test_the_flops_of_a_token_equal_a_count_by_hand():
    tied = NetworkConfig(vocab_size=50, embed_size=6, hidden_size=8, num_layers=2)
    layers = 4 * 8 * (6 + 8) + 4 * 8 * (8 + 8)
    assert flops_per_token(tied) == 6 * (layers + 8 * 6 + 6 * 50)
    untied = NetworkConfig(50, 6, 8, cell="gru", tie_weights=False)
    assert flops_per_token(untied) == 6 * (3 * 8 * (6 + 8) + 8 * 50)


def test_no_flops_are_told_of_a_head_in_clusters():
    class Clustered(NetworkConfig):
        cutoffs = (10,)

    assert flops_per_token(Clustered(50, 6, 8)) is None


def test_the_plan_keeps_to_the_shape():
    for shape in (*CHARACTERS, *WORDS):
        plan = planned(shape, threads=2, bf16=False)
        network = plan.network
        assert (network.num_layers, network.hidden_size) == (shape.layers, shape.hidden)
        assert (plan.batch_size, plan.window) == (shape.batch, shape.window)
        assert (network.vocab_size, network.tie_weights) == (shape.vocab_size, shape.tied)
        assert network.cell == "lstm"


def test_a_share_of_the_ceiling_is_a_share():
    ids = synthetic_ids("word", 300)
    found = measure_throughput(QUICK_WORDS[0], ids, MatrixProduct(256, torch.float32), 3, False)
    assert found.tokens_per_second > 0 and found.flops > 0
    assert 0 < found.share <= 1.2


@pytest.mark.parametrize("shape", QUICK_WORDS)
def test_both_contestants_learn_the_same_shape(shape):
    ids = synthetic_ids("word", shape.vocab_size)
    own, textbook = OwnStep(shape, ids, bf16=False), textbook_step(shape, ids)
    embedding, head = own.network.embedding, own.network.head.weight
    assert embedding.shape == textbook.model.embedding.weight.shape
    assert (head is embedding) == shape.tied
    before = embedding.detach().clone()
    for _ in range(3):
        own()
        textbook.step()
    assert not torch.equal(before, embedding)
    recurrent = [p.numel() for p in own.network.stack.parameters()]
    assert sum(recurrent) == sum(p.numel() for p in textbook.model.lstm.parameters())


@pytest.mark.parametrize("cell", CELLS)
def test_both_layers_compute_the_same(cell):
    own, other = (LayerPass(cell, LayerShape(2, 5, 6), False, own) for own in (True, False))
    for mine, theirs in zip(own.layer.parameters(), other.layer.parameters(), strict=True):
        mine.data.copy_(theirs.data)
    assert torch.allclose(own(), other(), atol=1e-6)
    for mine, theirs in zip(own.layer.parameters(), other.layer.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, atol=1e-5)


def test_a_race_of_cells_names_cell_and_shape():
    assert race_cell("gru", LayerShape(2, 5, 6), 1, False).name == "gru, 2 x 5 x 6"


def test_synthetic_words_follow_zipf_and_characters_do_not():
    words = np.bincount(synthetic_ids("word", 1000).ids, minlength=1000)
    assert words[0] > words[9] > words[99] > words[900]
    assert words[0] / words[36] == pytest.approx((37 + 2.7) / (1 + 2.7), rel=0.15)
    characters = np.bincount(synthetic_ids("char", 20).ids)
    assert len(characters) == 20 and characters.max() < 1.1 * characters.min()
    assert np.array_equal(synthetic_ids("word", 99).ids, synthetic_ids("word", 99).ids)


def test_windows_are_whole_also_of_a_text_that_is_too_short():
    assert len(whole_windows(np.arange(1000), 4, 8)) == 31 * 32 + 1
    short = whole_windows(np.arange(10), 4, 8)
    assert len(short) == 33 and short[10] == 0


def test_the_peak_of_a_child_is_its_own_and_not_its_parents():
    ballast = np.ones(50_000_000, dtype=np.int64)  # 400 MB
    found = memory.compare_memory(QUICK_WORDS[0], threads=1, bf16=False)
    parent = memory.peak_bytes()
    assert parent > ballast.nbytes
    assert 50e6 < found.own < parent - 200e6 and 50e6 < found.other < parent - 200e6
    assert found.ratio == found.own / found.other


def test_a_child_that_fails_is_an_error_with_its_last_words(monkeypatch):
    monkeypatch.setattr(memory, "PROGRAM", "raise SystemExit('no more memory')")
    with pytest.raises(OutOfMemoryError, match="no more memory"):
        memory.compare_memory(QUICK_WORDS[0], threads=1, bf16=False)


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


def test_a_goal_was_reached_when_a_validation_first_was_there(tmp_path):
    scores = [(10, 3.0, 1.5), (20, 2.0, 3.0), (30, 1.9, 4.5)]
    metrics = [{"step": s, "validation_nats": n} for s, n, _ in scores] + [{"step": 25, "nats": 1}]
    timings = [{"step": s, "seconds": t, "validation": True} for s, _, t in scores]
    timings.insert(0, {"step": 20, "seconds": 2.9, "targets_per_second": 1.0})
    for name, lines in (("metrics", metrics), ("timings", timings)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    assert time_below(tmp_path, 2.0) == 3.0
    assert time_below(tmp_path, 1.0) == math.inf


def test_a_target_tells_medians_and_a_run_that_missed_counts_as_slowest():
    runs = [OwnRun(1, 9.0, 1.8, 4.0), OwnRun(2, 9.0, 2.2, None), OwnRun(3, 9.0, 1.9, 6.0)]
    textbook = TextbookTime(60.0, True, 10.0, [])
    target = Target(GOALS[0], runs, textbook)
    assert (target.nats, target.reached, target.ratio) == (1.9, 6.0, 10.0)
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


def test_a_text_is_learned_to_a_target_by_both(text_file, monkeypatch):
    options = BenchOptions(
        only="targets", target=20.0, minutes=0.01, seeds=1, threads=1, textbook_minutes=0.0
    )
    told = []
    [target] = run_bench([str(text_file)], options, told.append).targets
    assert target.goal.kind == "char" and target.textbook is None
    assert 0 < target.runs[0].nats < 20 and target.reached > 0
    loop = targets.textbook_loop(str(text_file), targets.text_request("word"), told.append)
    assert loop.steps_per_epoch > 0


def test_targets_need_a_text():
    with pytest.raises(UsageError, match="targets need a text"):
        run_bench([], BenchOptions(only="targets"), lambda line: None)
