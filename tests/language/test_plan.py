"""The plan: a pure function without minutes, sensible at every size, and the user's word counts."""

import dataclasses
import re

import pytest

from charlm.batches.windows import Windows
from charlm.errors import UsageError
from charlm.language.explanation import explain
from charlm.language.plan import make_plan
from charlm.language.probe import Machine
from charlm.language.record import chosen_by
from charlm.language.request import TrainRequest
from charlm.language.sizes import CorpusFacts, operations
from charlm.model.shape import NetworkConfig

CHARACTERS = CorpusFacts(1_000_000, 322, "char")
WORDS = CorpusFacts(929_589, 10_000, "word")


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


def test_little_text_gets_much_weight_decay_and_a_weight_remembers_as_many_passes():
    decays = []
    for tokens in (30_000, 300_000, 3_000_000, 300_000_000):
        made = plan(minutes=2, facts=CorpusFacts(tokens, 322, "char"))
        decays.append(made.optimizer.weight_decay)
        if decays[-1] < 0.5:
            steps_of_pass = tokens / (made.batch_size * made.windows.mean)
            kept = 1 / (made.optimizer.learning_rate / 2 * decays[-1] * steps_of_pass)
            assert kept == pytest.approx(4, rel=0.1)
    assert decays == sorted(decays, reverse=True) and decays[0] == 0.5 and decays[-1] < 0.001


def test_weight_decay_is_the_users_or_adamws():
    assert plan(minutes=2, weight_decay=0.123).optimizer.weight_decay == 0.123
    assert plan(minutes=2, weight_decay=0.0).optimizer.weight_decay == 0
    for name in ("sgd", "adam"):
        assert plan(minutes=2, optimizer=name).optimizer.weight_decay == 0


def test_of_words_the_embeddings_are_dropped_like_all_else():
    network = plan(minutes=2, facts=WORDS, dropout=0.3).network
    assert network.input_dropout == network.output_dropout == 0.3


def test_a_small_corpus_gets_more_dropout():
    small = CorpusFacts(100_000, 322, "char")
    assert plan(minutes=10, facts=small).network.output_dropout > 0.2
    large = CorpusFacts(100_000_000, 322, "char")
    assert plan(minutes=2, facts=large).network.output_dropout == 0


@pytest.mark.parametrize("minutes", [1e-9, 0.01, 2.0, 1e4, 1e6])
@pytest.mark.parametrize("tokens", [1, 10**5, 10**10])
@pytest.mark.parametrize("vocab_size", [257, 50_000])
def test_every_size_is_sane(minutes, tokens, vocab_size):
    facts = CorpusFacts(tokens, vocab_size, "char")
    made = plan(minutes=minutes, facts=facts)
    assert 64 <= made.network.hidden_size <= 2048
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
    assert network.layer_dropout == network.output_dropout == 0.3
    assert network.input_dropout == pytest.approx(0.06)  # of characters a fifth
    assert (made.batch_size, made.windows, made.budget.steps) == (7, Windows(11, 11), 9)
    assert (made.optimizer.learning_rate, made.optimizer.clip_norm) == (0.001, 0.5)


def test_a_budget_in_epochs_is_counted_in_tokens():
    assert plan(epochs=1.5, facts=WORDS).budget.targets == round(1.5 * 929_589)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"minutes": 1, "steps": 5}, "--minutes and --steps"),
        ({"minutes": 0}, "--minutes must be above 0"),
        ({"minutes": 1e7}, "--minutes must be at most 1,000,000"),
        ({"bptt_start": 4, "batches": "padded"}, "--bptt-start is for streams"),
        ({"hidden": 0}, "--hidden must be 1 or more"),
        ({"dropout": 1.0}, r"--dropout must be in \[0, 1\)"),
        ({"unknown": "unk"}, "--unknown unk is for --tokenizer word"),
        ({"lr": -1.0}, "--lr must be above 0"),
        ({"seed": -1}, "--seed"),
        ({"mogrifier": -1}, "--mogrifier must be 0 to 100 rounds, not -1"),
        ({"mogrifier": 5, "cell": "gru"}, "--mogrifier is for --cell lstm"),
        ({"mogrifier": 5, "mogrifier_rank": -2}, "--mogrifier-rank must be 0 to"),
        ({"mogrifier_rank": 8}, "--mogrifier-rank needs --mogrifier"),
        ({"mixtures": 0}, "--mixtures must be 1 or more"),
        ({"mixtures": 1001}, "--mixtures must be at most 1,000"),
        ({"mixtures": 3, "cutoffs": "5"}, "--mixtures and --cutoffs cannot be given together"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(UsageError) as caught:
        TrainRequest(**options)
    assert re.search(message, caught.value.message)


def test_operations_equal_a_count_by_hand():
    tied = NetworkConfig(vocab_size=50, embed_size=6, hidden_size=8, num_layers=2)
    layers = 4 * 8 * (6 + 8) + 4 * 8 * (8 + 8)
    assert operations(tied) == (6 * layers, 6 * (8 * 6 + 6 * 50))
    untied = NetworkConfig(50, 6, 8, cell="gru", tie_weights=False)
    assert operations(untied) == (6 * 3 * 8 * (6 + 8), 6 * 8 * 50)
    gated = dataclasses.replace(tied, mogrifier=3)
    assert operations(gated)[0] == 6 * (layers + 3 * 6 * 8 + 3 * 8 * 8)
    low = dataclasses.replace(tied, mogrifier=3, mogrifier_rank=2)
    assert operations(low)[0] == 6 * (layers + 3 * 2 * (6 + 8) + 3 * 2 * (8 + 8))
    mixed = dataclasses.replace(tied, mixtures=5)
    assert operations(mixed)[1] == 6 * (5 * 8 * 6 + 5 * 8 + 5 * 6 * 50)
    narrow = dataclasses.replace(tied, last_hidden_size=6)
    assert operations(narrow) == (6 * (4 * 8 * (6 + 8) + 4 * 6 * (8 + 6)), 6 * 6 * 50)
    wide = dataclasses.replace(gated, last_hidden_size=9)
    layers = 4 * 8 * (6 + 8) + 3 * 6 * 8 + 4 * 9 * (8 + 9) + 3 * 8 * 9
    assert operations(wide) == (6 * layers, 6 * (9 * 6 + 6 * 50))


def test_a_last_layer_of_its_own_size_is_planned_as_it_was_asked_for():
    asked = {"layers": 2, "hidden": 96, "embed": 48, "last_hidden": 48, "steps": 10}
    made = plan(**asked)
    assert made.network.layer_sizes == [(48, 96), (96, 48)] and not made.network.projects
    line = explain(made, CHARACTERS, Machine(2), 1)[0]
    assert "2 x 96 lstm, embedding 48" in line and "a last layer of 48 units: 1 param" in line
    assert plan(**asked | chosen_by(made, 2, True)).network == made.network
    fewer = plan(**asked | {"hidden": None, "steps": None, "minutes": 1})
    assert fewer.network.output_size == 48 and fewer.network.hidden_size > 48


def test_a_mixture_of_softmaxes_is_planned_without_levels_and_for_less_work():
    plain, mixed = plan(facts=WORDS, cutoffs="none"), plan(facts=WORDS, mixtures=5)
    assert mixed.network.cutoffs == () and mixed.network.mixtures == 5
    assert plan(mixtures=2).network.cutoffs == () and plan(mixtures=1).network.cutoffs
    assert mixed.learned < plain.learned or mixed.network.hidden_size < plain.network.hidden_size


def test_a_mogrifier_is_planned_as_it_was_asked_for_and_counts():
    made = plan(mogrifier=5, mogrifier_rank=8, minutes=2, hidden=256)
    assert (made.network.mogrifier, made.network.mogrifier_rank) == (5, 8)
    assert made.learned < plan(minutes=2, hidden=256).learned / 2  # more work, in a slower loop
    sizes = [plan(mogrifier=rounds, minutes=2).network.hidden_size for rounds in (0, 5)]
    assert sizes[1] < sizes[0]
    asked = {"mogrifier": 1, "mixtures": 3, "steps": 10}
    line = explain(plan(**asked), CHARACTERS, Machine(2), 1)[0]
    assert "softmax over 322, 1 Mogrifier round, a mixture of 3 softmaxes: 1 param" in line
    assert plan(**asked | chosen_by(plan(**asked), 2, True)).network == plan(**asked).network


@pytest.mark.parametrize("minutes", [0.2, 2, 30, 600])
@pytest.mark.parametrize("size", [10**4, 10**6, 10**10])
@pytest.mark.parametrize("machine", [Machine(1, False, 2e10), Machine(2), Machine(8, True, 4e13)])
def test_every_budget_and_corpus_and_machine_gets_a_sensible_plan(minutes, size, machine):
    for facts in (CorpusFacts(size, 322, "char"), CorpusFacts(size // 4, 8192, "bpe")):
        made = make_plan(TrainRequest(minutes=minutes), facts, machine)
        seconds_a_step = (
            sum(operations(made.network)) * made.batch_size * made.windows.last / machine.flops
        )
        assert seconds_a_step < max(3.0, 0.03 * 60 * minutes)  # so that it can end on time
        assert facts.tokens // made.batch_size >= made.windows.last
        assert made.network.hidden_size <= 0.1 * max(facts.tokens, 1280)
        # what is read a hundred times needs dropout, what is read once needs none
        assert made.passes < 100 or made.network.output_dropout > 0.3
        assert made.passes > 1 or made.network.output_dropout == 0


def test_a_large_vocabulary_is_cut_into_levels_and_a_small_one_is_not():
    assert plan().network.cutoffs == (322 - 257,)  # the bytes that spell other characters
    assert plan(facts=CorpusFacts(1_000_000, 257, "byte")).network.cutoffs == ()
    assert plan(facts=CorpusFacts(1_000_000, 257, "char")).network.cutoffs == ()
    assert plan(facts=WORDS).network.cutoffs == (1000, 4000)
    assert plan(facts=CorpusFacts(2_000_000, 33_278, "word")).network.cutoffs == (
        1000,
        4000,
        12_000,
    )
    pairs = plan(facts=CorpusFacts(2_000_000, 8192, "bpe")).network
    assert 0 < pairs.cutoffs[0] < pairs.cutoffs[1] < 8192 and pairs.head_rows < 8192 / 2
    assert plan(facts=WORDS, cutoffs="none").network.cutoffs == ()
    assert plan(facts=WORDS, cutoffs="50,700").network.cutoffs == (50, 700)


def test_windows_grow_unless_they_are_given():
    assert plan().windows == Windows(8, 64)
    assert plan(bptt=20).windows == Windows(20, 20)
    assert plan(bptt=20, bptt_start=4).windows == Windows(4, 20)
    assert plan(bptt_start=100).windows == Windows(100, 100)
    assert plan(batches="padded").windows == Windows(64, 64)
    with pytest.raises(UsageError, match=r"^bptt_start must be at most bptt, 4, not 9"):
        TrainRequest(bptt=4, bptt_start=9)


@pytest.mark.parametrize("cutoffs", ["", "a", "1,", "-3", "1, 2"])
def test_cutoffs_are_numbers_or_none(cutoffs):
    with pytest.raises(UsageError, match=r"^cutoffs must be numbers"):
        TrainRequest(cutoffs=cutoffs)


def test_a_plan_explains_itself_in_three_lines():
    machine = Machine(2, True, 123e9, measured=True)
    request = TrainRequest(minutes=2, tokenizer="word")
    made = make_plan(request, WORDS, machine)
    network, learning, because = explain(made, WORDS, machine, 1_234_567)
    assert f"1 x {made.network.hidden_size} lstm" in network and "1,234,567 param" in network
    assert "from 1,000, 4,000" in network
    assert "falling to zero" in learning and "windows of 8 to 35 tokens" in learning
    assert "2 minutes on 2 threads in bf16" in because and "123 GFLOP/s" in because
    assert "929,589 tokens about" in because
    resumed = explain(made, WORDS, Machine(2, True), 1_234_567)
    assert "GFLOP" not in resumed[2] and "when the run began" in resumed[2]
    steps = make_plan(TrainRequest(steps=10), CHARACTERS, machine)
    assert "GFLOP" not in explain(steps, CHARACTERS, machine, 1)[2]


def test_options_of_a_run_give_its_plan_again_on_any_machine():
    first = make_plan(TrainRequest(minutes=2), WORDS, Machine(2, True, 2e11))
    chosen = chosen_by(first, 2, True)
    again = make_plan(TrainRequest(minutes=2, **chosen), WORDS, Machine(2, True))
    assert dataclasses.replace(again, learned=0, passes=0) == dataclasses.replace(
        first, learned=0, passes=0
    )
