"""Presets: valid and as published, given way by what the user gives, recorded option by option."""

import inspect
import math
import re
import shlex

import pytest

import charlm
from charlm.batches.windows import Windows
from charlm.cli.main import make_parser
from charlm.cli.parser import parse
from charlm.errors import UsageError
from charlm.language.command import command_line
from charlm.language.plan import make_plan
from charlm.language.presets import PRESETS, preset_options
from charlm.language.probe import Machine
from charlm.language.recipe import BELONG, NAMES, request_from
from charlm.language.request import TrainRequest
from charlm.language.sizes import CorpusFacts
from charlm.options import checked
from charlm.training.optimizers import OptimizerOptions

PTB = CorpusFacts(929_588, 10_000, "word")
WIKITEXT2 = CorpusFacts(2_088_627, 33_278, "word")
CHARACTERS = CorpusFacts(1_000_000, 322, "char")
FACTS = {
    "awd-wikitext2": WIKITEXT2,
    "char-ptb": CorpusFacts(5_017_481, 51, "word"),
    "tinyshakespeare": CHARACTERS,
}


def plan(name, **given):
    request = request_from({"preset": name} | given)
    return make_plan(request, FACTS.get(name, PTB), Machine(2))


def parsed(words):
    """Give the request that a command line makes."""
    parser, commands = make_parser()
    return request_from(vars(parse(parser, commands, words)))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_options_of_their_types_with_a_source_and_a_figure(name):
    assert checked(TrainRequest, preset_options(name)) == preset_options(name)
    told = inspect.getdoc(PRESETS[name])
    assert re.search(r"arXiv|README|Zaremba|awd_ptb", told) and re.search(r"\d\.\d", told)
    made = plan(name)
    assert made.budget.targets is not None and made.passes >= 8
    assert make_plan(request_from({"preset": name}), FACTS.get(name, PTB), Machine(9, True)) == made


@pytest.mark.parametrize(
    "name, millions", [("zaremba-medium", 20), ("zaremba-large", 66), ("zaremba-small", 4.65)]
)
def test_the_networks_have_the_sizes_that_were_published(name, millions):
    parameters = sum(map(math.prod, plan(name).network.parameter_shapes().values()))
    assert parameters / 1e6 == pytest.approx(millions, rel=0.02)


@pytest.mark.parametrize(
    "name, parameters",
    [("awd-ptb", 24_221_600), ("awd-wikitext2", 33_556_078), ("char-ptb", 13_787_851)],
)
def test_the_last_layer_is_what_the_tied_embedding_reads(name, parameters):
    network = plan(name).network
    assert sum(map(math.prod, network.parameter_shapes().values())) == parameters
    assert network.tie_weights and not network.projects
    assert network.output_size == network.embed_size < network.hidden_size


def test_a_last_layer_goes_with_the_embedding_and_the_number_of_layers():
    for given in ({"embed": 300}, {"layers": 1}):
        assert plan("awd-ptb", **given).network.last_hidden_size is None
    assert plan("awd-ptb", hidden=600).network.last_hidden_size == 400
    small = plan("awd-ptb", hidden=200, embed=100, last_hidden=100).network
    assert small.layer_sizes == [(100, 200), (200, 200), (200, 100)] and not small.projects


def test_the_classic_recipe_is_what_its_authors_did():
    made = plan("awd-ptb")
    network = made.network
    assert (network.num_layers, network.hidden_size, network.embed_size) == (3, 1150, 400)
    rates = network.input_dropout, network.layer_dropout, network.output_dropout
    assert rates == (0.4, 0.25, 0.4)
    assert (network.weight_dropout, network.embed_dropout) == (0.5, 0.1)
    assert network.tie_weights and network.cutoffs == ()
    assert made.windows == Windows(70, 70, random=True) and made.batch_size == 20
    assert made.optimizer.optimizer == "sgd" and made.optimizer.learning_rate == 30
    assert made.optimizer.clip_norm == 0.25 and made.optimizer.weight_decay == 1.2e-6
    assert made.loop.average == "triggered" and made.loop.rate_factor(0.0) == 1
    assert request_from({"preset": "awd-ptb"}).init == "uniform"
    assert made.budget.targets == 500 * PTB.tokens
    request = request_from({"preset": "awd-ptb"})
    assert (request.activation_penalty, request.temporal_penalty) == (2, 1)
    assert made.loop.validate_every == 1 / 500
    larger = plan("awd-wikitext2")
    assert (larger.network.input_dropout, larger.network.layer_dropout) == (0.65, 0.2)
    assert larger.batch_size == 80 and larger.passes == 750


def test_the_recipe_of_characters_is_what_its_authors_did():
    made = plan("char-ptb")
    network = made.network
    assert (network.num_layers, network.hidden_size, network.embed_size) == (3, 1000, 200)
    rates = network.input_dropout, network.layer_dropout, network.output_dropout
    assert rates == (0.1, 0.25, 0.1)
    assert (network.weight_dropout, network.embed_dropout) == (0.5, 0)
    assert made.windows == Windows(150, 150, random=True) and made.batch_size == 128
    assert made.optimizer == OptimizerOptions("adam", 2e-3, 1.2e-6, 0.25)
    factors = [made.loop.rate_factor(passes / 500) for passes in (299.9, 300, 399.9, 400, 499)]
    assert factors == pytest.approx([1, 0.1, 0.1, 0.01, 0.01]) and made.passes == 500
    request = request_from({"preset": "char-ptb"})
    assert request.activation_penalty == request.temporal_penalty == 0
    assert request.average == "none" and request.init == "uniform"


def test_a_rate_of_one_for_a_windows_sum_is_one_of_its_length_for_the_mean():
    made = plan("zaremba-large")
    assert made.optimizer.learning_rate == 35 and made.optimizer.clip_norm == 10 / 35
    assert made.loop.rate_factor(13.9 / 55) == 1
    assert made.loop.rate_factor(54.5 / 55) == pytest.approx(1.15**-41)


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_given_beside_a_preset_counts(name):
    given = {"hidden": 33, "lr": 0.5, "seed": 9, "dropout": 0.3, "steps": 7, "tie": False}
    request = request_from({"preset": name} | given)
    assert all(getattr(request, option) == value for option, value in given.items())
    assert request.epochs is None, "a budget takes the place of a budget"
    network = make_plan(request, FACTS.get(name, PTB), Machine(1)).network
    assert network.layer_dropout == network.output_dropout == 0.3


def test_what_belongs_to_an_option_goes_with_it():
    request = request_from({"preset": "awd-ptb", "tokenizer": "char", "optimizer": "adamw"})
    assert request.unknown == "spell" and request.lr is None and request.weight_decay is None
    request = request_from({"preset": "awd-ptb", "batches": "padded"})
    assert not request.random_windows
    request = request_from({"preset": "awd-ptb", "input_dropout": 0.1})
    assert (request.input_dropout, request.layer_dropout) == (0.1, 0.25)
    assert {*BELONG, *(name for names in BELONG.values() for name in names)} <= set(NAMES)


def test_without_a_preset_nothing_is_chosen():
    assert request_from({"hidden": 3, "corpus": ["x"], "seed": None}) == TrainRequest(hidden=3)


@pytest.mark.parametrize(
    "name, hint", [("awd-pbt", "did you mean 'awd-ptb'?"), ("x", ", ".join(PRESETS))]
)
def test_an_unknown_preset_is_named_and_the_nearest_one_too(name, hint):
    with pytest.raises(UsageError, match=f"no preset '{name}'") as caught:
        request_from({"preset": name})
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", [*PRESETS, None])
@pytest.mark.parametrize(
    "words", [[], ["--no-tie", "--no-fallback", "--strict"], ["--no-random-windows", "--seed", "3"]]
)
def test_the_recorded_command_asks_for_the_same(name, words):
    preset = [] if name is None else ["--preset", name]
    request = parsed(["train", *preset, *words])
    recorded = command_line(["a b.txt"], request)
    assert "preset" not in recorded
    again = shlex.split(recorded)
    assert again[0] == "charlm" and parsed(again[1:]) == request


def test_a_preset_trains_from_python_and_its_card_says_how(tmp_path, text_file):
    small = {"hidden": 16, "embed": 8, "layers": 2, "batch": 4, "bptt": 10, "threads": 1}
    out = str(tmp_path / "run")
    model = charlm.train(text_file, preset="awd-ptb", steps=12, lr=1.0, out=out, **small)
    run = model.config["run"]
    assert run["request"]["random_windows"] and run["request"]["average"] == "triggered"
    assert "--temporal-penalty 1.0" in run["command"] and "--preset" not in run["command"]
    assert run["command"] in (model.directory / "README.md").read_text()
    with pytest.raises(UsageError, match="unknown option 'presett'"):
        charlm.train(text_file, presett="awd-ptb")


def test_a_prepared_text_may_be_trained_on_by_a_preset_of_its_tokenizer(tmp_path, text_file):
    from charlm.language.corpus import prepare_directory

    store = tmp_path / "store"
    request = request_from({"preset": "zaremba-small"})
    prepare_directory([str(text_file)], request, store, tell=lambda line: None)
    small = {"hidden": 8, "embed": 8, "batch": 4, "steps": 3, "threads": 1}
    charlm.train(store, preset="zaremba-small", out=str(tmp_path / "run"), **small)
    for other in ({"preset": "tinyshakespeare"}, {"tokenizer": "word"}):
        with pytest.raises(UsageError, match="is prepared"):
            charlm.train(store, out=str(tmp_path / "other"), **other, **small)
