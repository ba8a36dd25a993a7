"""Trials of language models: around charlm's own plan, and comparable with each other."""

import math
import shlex

import numpy as np
import pytest

pytest.importorskip("optuna")

import charlm
from charlm.cli.main import main
from charlm.errors import CorpusError, UsageError
from charlm.language.corpus import open_or_prepare, prepare_directory
from charlm.language.plan import make_plan
from charlm.language.probe import Machine
from charlm.language.record import chosen_by
from charlm.language.request import TrainRequest
from charlm.language.reserve import divide
from charlm.language.sizes import CorpusFacts
from charlm.runs.dialogue import NeverStop
from charlm.tuning import trial as trials
from charlm.tuning.language import LanguageObjective
from charlm.tuning.options import TuneOptions
from charlm.tuning.plan import validation_tokens
from charlm.tuning.space import defaults
from charlm.tuning.tune import asked_for

SMALL = {"steps": 6, "hidden": 16, "batch": 8, "bptt": 8, "threads": 1}


def objective_of(path, given=None, **options):
    asked = TuneOptions(**({"steps": 6} | options))
    found = asked_for([str(path)], given or {}, asked, lambda line: None)
    found.settle({"flops": 1e11, "validation_bytes": 500})
    return found


def quiet(line):
    pass


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"tokenizer": "bpe", "vocab_size": 300},
        {"tokenizer": "word", "cell": "gru"},
        {"layers": 2, "dropout": 0.2, "bptt": 20},
        {"batches": "padded", "tokenizer": "byte"},
        {"optimizer": "sgd", "lr": 3.0, "hidden": 48},
    ],
    ids=str,
)
@pytest.mark.parametrize("budget", [{"steps": 400}, {"minutes": 3.0}], ids=str)
def test_where_nothing_is_changed_a_trial_is_charlms_own_plan(text_file, given, budget):
    objective = objective_of(text_file, given, **({"steps": None} | budget))
    options = objective.options(defaults(objective.space()), 0)
    request = TrainRequest(**given, **budget)
    store = open_or_prepare([str(text_file)], request, quiet)
    tokens = len(divide(store.train)[0].ids) - 1
    facts = CorpusFacts(tokens, store.tokenizer.vocab_size, store.tokenizer.kind)
    plan = make_plan(request, facts, Machine(flops=1e11))
    chosen = chosen_by(plan, 1, False)
    told = [name for name in chosen if name in options and options[name] is not None]
    assert {name: options[name] for name in told} == {name: chosen[name] for name in told}
    assert {"hidden", "lr", "dropout", "batch", "bptt", "layers"} <= set(told)
    again = make_plan(objective._run_of(options), facts, Machine(flops=1e9))
    assert again.network == plan.network and again.optimizer == plan.optimizer
    assert again.windows == plan.windows and again.batch_size == plan.batch_size
    assert objective.told(defaults(objective.space())) == "charlm's own plan"


def test_values_move_the_plan_of_their_own_tokenizer_and_cell(text_file):
    objective = objective_of(text_file, steps=400)
    usual = defaults(objective.space())
    plan = objective.options(usual, 0)
    wide = objective.options(usual | {"hidden_factor": 2.0}, 0)
    assert wide["hidden"] == 2 * plan["hidden"] and wide["hidden"] % 32 == 0
    quick = objective.options(usual | {"lr_factor": 0.5}, 0)
    assert quick["lr"] == pytest.approx(plan["lr"] / 2, rel=1e-2)
    gru = objective.options(usual | {"cell": "gru"}, 0)
    assert gru["cell"] == "gru" and gru["lr"] == plan["lr"] / 2
    more = objective.options(usual | {"dropout_shift": 0.3, "batch_factor": 0.5}, 0)
    assert more["dropout"] == pytest.approx(plan["dropout"] + 0.3)
    assert more["batch"] == round(plan["batch"] / 2)
    none = objective.options(usual | {"dropout_shift": -0.9, "bptt_factor": 0.01}, 0)
    assert none["dropout"] == 0 and none["bptt"] == none["bptt_start"] == 1
    pairs = objective.options(usual | {"tokenizer": "bpe", "bpe_vocab_size": 512}, 1)
    assert (pairs["tokenizer"], pairs["vocab_size"], pairs["seed"]) == ("bpe", 512, 2)


@pytest.mark.parametrize(
    ("given", "gone"),
    [
        ({"cell": "lstm"}, {"cell"}),
        ({"tokenizer": "char"}, {"tokenizer", "bpe_vocab_size", "word_vocab_size"}),
        ({"lr": 0.01, "hidden": 32}, {"lr_factor", "hidden_factor"}),
        ({"dropout": 0.0, "weight_dropout": 0.0}, {"dropout_shift", "weight_dropout"}),
        ({"bptt_start": 4}, {"bptt_factor"}),
        ({"mogrifier": 2}, {"cell"}),
        ({"vocab_size": 300}, {"bpe_vocab_size", "word_vocab_size"}),
        ({"tokenizer": "word", "unknown": "unk"}, {"tokenizer", "bpe_vocab_size"}),
        ({"input_dropout": 0.1, "layer_dropout": 0.1, "output_dropout": 0.1}, {"dropout_shift"}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",  # sets have no order
)
def test_what_is_given_is_not_searched(tmp_path, given, gone):
    path = tmp_path / "long.txt"
    path.write_text("".join(f"the {k}th of many words, {k * 7 % 1000}\n" for k in range(4000)))
    everything = {each.name for each in objective_of(path).space()}
    assert gone <= everything
    left = {each.name for each in objective_of(path, given).space()}
    assert not gone & left
    assert left | gone >= everything - {"word_vocab_size", "bpe_vocab_size"}


def test_a_prepared_corpus_keeps_its_tokenizer(text_file, tmp_path):
    prepare_directory([str(text_file)], TrainRequest(tokenizer="byte"), tmp_path / "p", quiet)
    objective = objective_of(tmp_path / "p")
    assert "tokenizer" not in {each.name for each in objective.space()}
    options = objective.options(defaults(objective.space()), 0)
    assert options["tokenizer"] == "byte"
    assert "tokenizer" not in objective.command(options)


def test_all_validations_score_the_same_bytes(text_file):
    for kind in ("byte", "char", "word", "bpe"):
        store = open_or_prepare([str(text_file)], TrainRequest(tokenizer=kind), quiet)
        tokens = validation_tokens(store, {"flops": 1.0, "validation_bytes": 300})
        ids = store.valid.ids[1 : 1 + tokens]
        size = sum(len(store.tokenizer.pieces[each]) for each in ids)
        assert 240 < size < 360, kind


def trained(objective, directory, report=lambda share, score: None, stop=None, **values):
    options = objective.options(defaults(objective.space()) | values, 0)
    return options, objective.train(options, directory, report, stop or NeverStop(), None)


@pytest.mark.parametrize("kind", ["byte", "char", "word", "bpe"])
def test_a_score_is_that_of_the_model_that_is_kept(text_file, tmp_path, kind):
    objective = objective_of(text_file, SMALL | {"steps": None, "tokenizer": kind})
    _, outcome = trained(objective, tmp_path / "t")
    assert not (tmp_path / "t/MANIFEST.json").exists()
    outcome.keep()
    found = charlm.load(tmp_path / "t").evaluate()
    assert outcome.score == pytest.approx(found.bits_per_byte, rel=1e-5)
    assert sum(outcome.units) == found.bytes
    assert sum(outcome.costs) / sum(outcome.units) == pytest.approx(outcome.score)


def test_the_closed_word_form_is_compared_in_nats_per_token(text_file, tmp_path):
    given = SMALL | {"steps": None, "tokenizer": "word", "unknown": "unk"}
    objective = objective_of(text_file, given)
    _, outcome = trained(objective, tmp_path / "t")
    assert objective.unit == "nats per token"
    outcome.keep()
    found = charlm.load(tmp_path / "t").evaluate()
    assert outcome.score == pytest.approx(math.log(found.token_perplexity), rel=1e-5)


def test_the_printed_command_trains_the_same_network(text_file, tmp_path):
    objective = objective_of(text_file, SMALL | {"steps": None, "precision": "fp32"})
    options, outcome = trained(objective, tmp_path / "t", cell="gru")
    outcome.keep()
    words = objective.command(options).split()
    assert words[:2] == ["charlm", "train"]
    assert main([*words[1:], "--out", str(tmp_path / "again"), "--json"]) == 0
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("t", "again")]
    assert weights[0] == weights[1]


def test_names_with_spaces_are_quoted_in_the_command(tmp_path, text_file):
    path = tmp_path / "my 'own' book.txt"
    path.write_text(text_file.read_text())
    assert shlex.split(objective_of(path).command(None)) == [
        *("charlm", "train", str(path), "--steps", "6")
    ]


def test_validations_are_reported_and_a_stop_ends_the_trial(text_file, tmp_path):
    class Watch(NeverStop):
        def __init__(self):
            self.seen = []

        def report(self, share, score):
            self.seen.append((share, score))

        def requested(self):
            return len(self.seen) >= 3

    objective = objective_of(text_file, SMALL | {"steps": None}, steps=40)
    watch = Watch()
    _, outcome = trained(objective, tmp_path / "t", watch.report, watch)
    assert outcome is None and len(watch.seen) == 3
    shares = [share for share, _ in watch.seen]
    assert shares == sorted(shares) and 0.08 < shares[0] < 0.15
    assert all(2 < score < 12 for _, score in watch.seen)
    assert not (tmp_path / "t/checkpoints").exists() and (tmp_path / "t/metrics.jsonl").exists()


def test_a_long_text_is_scored_on_its_beginning(text_file, tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "SCORED", 200)
    objective = objective_of(text_file, SMALL | {"steps": None, "tokenizer": "bpe"})
    _, outcome = trained(objective, tmp_path / "t")
    assert 190 < sum(outcome.units) <= 200


def test_documents_are_cut_where_the_limit_is(monkeypatch):
    monkeypatch.setattr(trials, "SCORED", 10)
    sizes = np.array([1, 3])
    documents = [np.array([1, 0, 1]), np.array([0, 0, 1, 1]), np.array([0])]
    found = [ids.tolist() for ids in trials._beginning(iter(documents), sizes)]
    assert found == [[1, 0, 1], [0, 0]]  # 7 bytes, then 2 of 3, where 3 more do not fit


def test_what_cannot_be_tuned_is_refused(tmp_path, text_file):
    (tmp_path / "tiny.txt").write_text("hi")
    with pytest.raises(CorpusError, match="too small to hold text out"):
        objective_of(tmp_path / "tiny.txt")
    with pytest.raises(UsageError, match="standard input can be read once"):
        LanguageObjective(["-"], TrainRequest(), set(), quiet)
    with pytest.raises(UsageError, match="unknown option 'trails'"):
        charlm.tune(text_file, trails=3)


def test_charlm_tune_gives_a_report_whose_best_can_be_trained(text_file, tmp_path):
    given = SMALL | {"tokenizer": "char", "precision": "fp32"}
    report = charlm.tune(text_file, trials=3, study=tmp_path / "s", **given)
    assert [trial.state for trial in report.trials] == ["complete"] * 3
    lm = charlm.train(text_file, steps=6, out=str(tmp_path / "m"), **report.best.options)
    assert lm.evaluate().bits_per_byte == pytest.approx(report.best.score, rel=1e-3)
