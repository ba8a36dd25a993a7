"""Speeds: turns are taken, arithmetic is counted by hand, and shares are possible."""

import pytest
import torch

from charlm.benchmark.ceilings import MatrixProduct, measure_ceilings
from charlm.benchmark.cells import CELLS, LayerPass, LayerShape, race_cell
from charlm.benchmark.clock import alternate, median_ratio
from charlm.benchmark.contest import race
from charlm.benchmark.ids import synthetic_ids
from charlm.benchmark.shapes import CHARACTERS, QUICK_WORDS, WORDS, planned
from charlm.benchmark.steps import OwnStep, textbook_step
from charlm.benchmark.throughput import measure_throughput


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
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

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


def test_the_plan_keeps_to_the_shape():
    for shape in (*CHARACTERS, *WORDS):
        plan = planned(shape, threads=2, bf16=False)
        network = plan.network
        assert (network.num_layers, network.hidden_size) == (shape.layers, shape.hidden)
        assert (plan.batch_size, plan.windows.last) == (shape.batch, shape.window)
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
