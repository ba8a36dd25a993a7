"""The plan: a pure function without minutes, sensible at every size, and the user's word counts."""

import pytest

from charlm.batches.windows import Windows
from charlm.errors import UsageError
from charlm.language.plan import make_plan
from charlm.language.probe import Machine
from charlm.language.request import TrainRequest
from charlm.language.sizes import CorpusFacts, operations
from charlm.model.shape import NetworkConfig

CHARACTERS = CorpusFacts(1_000_000, 322, "char")
WORDS = CorpusFacts(929_589, 10_000, "word", closed=True)


def plan(request=None, facts=CHARACTERS, threads=2, bf16=True, **options):
    machine = Machine.assumed(threads, bf16)
    return make_plan(request or TrainRequest(**options), facts, machine)


def test_with_steps_or_epochs_the_machine_makes_no_difference():
    for options in ({"steps": 100}, {"epochs": 3.0}):
        assert plan(**options) == plan(**options, threads=16, bf16=False)


def test_more_minutes_train_a_larger_network():
    sizes = [plan(minutes=minutes).network.hidden_size for minutes in (0.2, 1, 2, 10, 60)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2] < sizes[4]


def test_a_faster_machine_trains_a_larger_network():
    slow, fast = plan(minutes=2, bf16=False), plan(minutes=2, threads=16)
    assert slow.network.hidden_size < fast.network.hidden_size


def test_a_small_corpus_gets_more_dropout():
    small = CorpusFacts(100_000, 322, "char")
    assert plan(minutes=2, facts=small).network.output_dropout > 0.2
    large = CorpusFacts(100_000_000, 322, "char")
    assert plan(minutes=2, facts=large).network.output_dropout == 0


@pytest.mark.parametrize("minutes", [0.01, 2.0, 1e4])
@pytest.mark.parametrize("tokens", [1, 10**5, 10**10])
@pytest.mark.parametrize("vocab_size", [257, 50_000])
def test_every_size_is_sane(minutes, tokens, vocab_size):
    facts = CorpusFacts(tokens, vocab_size, "char")
    made = plan(minutes=minutes, facts=facts)
    assert 64 <= made.network.hidden_size <= 1024
    assert 0 < made.optimizer.learning_rate < 0.1
    assert 0 <= made.network.output_dropout <= 0.6


def test_what_the_user_says_is_what_is_done():
    made = plan(
        hidden=100, embed=40, layers=2, cell="gru", dropout=0.3, batch=7, bptt=11, lr=0.001,
        weight_dropout=0.1, embed_dropout=0.05, optimizer="sgd", clip_norm=0.5, steps=9, tie=False,
    )  # fmt: skip
    network = made.network
    assert (network.hidden_size, network.embed_size, network.num_layers) == (100, 40, 2)
    assert (network.cell, network.tie_weights, network.weight_dropout) == ("gru", False, 0.1)
    assert network.input_dropout == network.layer_dropout == network.output_dropout == 0.3
    assert (made.batch_size, made.windows, made.budget.steps) == (7, Windows(11, 11), 9)
    assert (made.optimizer.learning_rate, made.optimizer.clip_norm) == (0.001, 0.5)


def test_a_budget_in_epochs_is_counted_in_tokens():
    assert plan(epochs=1.5, facts=WORDS).budget.targets == round(1.5 * 929_589)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"minutes": 1, "steps": 5}, "--minutes and --steps"),
        ({"minutes": 0}, "--minutes must be above 0"),
        ({"hidden": 0}, "--hidden must be 1 or more"),
        ({"dropout": 1.0}, r"--dropout must be in \[0, 1\)"),
        ({"unknown": "unk"}, "--unknown unk is for --tokenizer word"),
        ({"lr": -1.0}, "--lr must be above 0"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        TrainRequest(**options)


def test_operations_equal_a_count_by_hand():
    tied = NetworkConfig(vocab_size=50, embed_size=6, hidden_size=8, num_layers=2)
    layers = 4 * 8 * (6 + 8) + 4 * 8 * (8 + 8)
    assert operations(tied) == (6 * layers, 6 * (8 * 6 + 6 * 50))
    untied = NetworkConfig(50, 6, 8, cell="gru", tie_weights=False)
    assert operations(untied) == (6 * 3 * 8 * (6 + 8), 6 * 8 * 50)
