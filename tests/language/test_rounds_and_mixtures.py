"""Mogrifier rounds and mixed softmaxes: trained, saved, loaded, and the same wherever asked."""

import json

import numpy as np
import pytest

import charlm
from charlm.cli.main import main
from charlm.errors import UsageError
from charlm.language.directory import describe, network_config, read_model
from charlm.language.fit import fit
from charlm.language.request import TrainRequest
from charlm.model.softmaxes import MixtureHead
from charlm.runs.record import read_record

EXTRAS = {"mogrifier": 3, "mogrifier_rank": 4, "mixtures": 2}


@pytest.fixture
def trained(text_file, tmp_path):
    """Train with the extras, or others."""

    def train(out="run", **options):
        small = {"hidden": 24, "embed": 12, "batch": 8, "bptt": 16, "lr": 0.01, "threads": 1}
        values = {"tokenizer": "word", "out": str(tmp_path / out)} | small | EXTRAS | options
        return fit([str(text_file)], TrainRequest(**values))

    return train


@pytest.mark.parametrize("options", [{}, {"tie": False, "batches": "padded", "mogrifier_rank": 0}])
def test_it_trains_and_is_the_same_after_saving_in_torch_and_in_numpy(trained, tmp_path, options):
    result = trained(steps=20, **options)
    files = read_model(tmp_path / "run")
    expected = EXTRAS | {name: options[name] for name in EXTRAS if name in options}
    assert {name: files.config["network"][name] for name in EXTRAS} == expected
    network = charlm.load(files.directory).parts.reader.network
    assert network.config == network_config(files) and network.config.cutoffs == ()
    assert isinstance(network.head, MixtureHead)
    again = charlm.load(tmp_path / "run")
    assert again.evaluate().nats == pytest.approx(result.held_out.nats, rel=1e-6)
    ids = np.array([again.tokenizer.encode("the cat sat on the mat, Zoë!")])
    scores = [p.score(ids, p.start(1))[0] for p in (again.parts.reader, again.network)]
    np.testing.assert_allclose(*scores, atol=1e-4)
    assert isinstance(again.generate("the ", max_tokens=5, seed=1), str)
    assert len(again.suggest("the ", k=3)) == 3


def test_it_learns(trained):
    result = trained(steps=120)
    assert result.held_out.token_perplexity < result.model.tokenizer.vocab_size / 50


def test_a_resumed_run_goes_on_to_the_same_bytes_and_cannot_become_another(trained, tmp_path):
    same = {"schedule": "constant", "warmup": 0.0, "dropout": 0.2, "weight_dropout": 0.2}
    trained(steps=9, out="whole", **same)
    trained(steps=5, **same)
    with pytest.raises(UsageError, match="mogrifier was 3, is now 2"):
        trained(steps=9, resume=True, mogrifier=2)
    with pytest.raises(UsageError, match="mixtures was 2, is now 5"):
        trained(steps=9, resume=True, mixtures=5)
    trained(steps=9, resume=True)
    whole, run = (
        (tmp_path / out / "checkpoints" / "step-000000009" / "model.safetensors").read_bytes()
        for out in ("whole", "run")
    )
    assert whole == run


def test_a_run_begun_before_they_were_options_goes_on_without_them(trained, tmp_path):
    trained(steps=1, mogrifier=0, mogrifier_rank=0, mixtures=1)
    path = tmp_path / "run" / "run.json"
    value = json.loads(path.read_text())
    for name in EXTRAS:
        del value["request"][name]
    path.write_text(json.dumps(value))
    record = read_record(tmp_path / "run", TrainRequest)
    assert record is not None
    assert (record.request.mogrifier, record.request.mixtures) == (0, 1)


def test_card_and_info_name_them_and_those_of_other_models_do_not(trained, tmp_path, capsys):
    trained(steps=1)
    card = (tmp_path / "run" / "README.md").read_text()
    assert "lstm language model (3 Mogrifier rounds of rank 4, a mixture of 2 softmaxes) of" in card
    assert describe(tmp_path / "run").items() >= EXTRAS.items()
    assert main(["info", str(tmp_path / "run")]) == 0
    told = dict(line.rsplit("  ", 1) for line in capsys.readouterr().out.splitlines())
    found = {name.strip(): value for name, value in told.items()}
    assert (found["mogrifier"], found["mogrifier rank"], found["mixtures"]) == ("3", "4", "2")
    trained(steps=1, out="plain", mogrifier=0, mogrifier_rank=0, mixtures=1)
    assert "lstm language model of" in (tmp_path / "plain" / "README.md").read_text()
    assert not describe(tmp_path / "plain").keys() & EXTRAS.keys()


@pytest.mark.parametrize(
    "words, said",
    [
        ("--mogrifier 5 --cell gru", "--mogrifier is for --cell lstm"),
        ("--mixtures 3 --cutoffs 5,40", "--mixtures and --cutoffs cannot be given together"),
        ("--mogrifier many", "--mogrifier"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_a_sentence(text_file, capsys, words, said):
    assert main(["train", str(text_file), *words.split()]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) <= 5
