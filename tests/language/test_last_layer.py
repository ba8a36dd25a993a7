"""A last layer of its own size: trained, saved, loaded, and the same wherever it is asked."""

import json
import re

import numpy as np
import pytest
import safetensors.numpy

import charlm
from charlm import storage
from charlm.cli.main import main
from charlm.errors import ModelError, UsageError
from charlm.language.combination import NAMES
from charlm.language.directory import CONFIG, describe, read_model
from charlm.language.fit import fit
from charlm.language.request import TrainRequest
from charlm.runs.record import read_record

SENTENCES = ["the cat sat on the mat", "a dog ate the old bone", "we saw no cat by the log"]
SMALL = {"layers": 2, "hidden": 16, "embed": 8, "batch": 8, "bptt": 16, "lr": 0.01, "threads": 1}
SHAPES = {
    "lstm": {"last_hidden": 8},
    "gru": {"cell": "gru", "last_hidden": 12},
    "rnn": {"cell": "rnn", "last_hidden": 20, "tie": False},
}
STORY = "we saw no cat on the mat"


@pytest.fixture
def book(tmp_path):
    random = np.random.default_rng(0)
    lines = [SENTENCES[k] for k in random.integers(len(SENTENCES), size=300)]
    path = tmp_path / "book.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def trained(book, tmp_path):
    """Train with a last layer of 8 units, or otherwise."""

    def train(out="run", **options):
        values = {"tokenizer": "char", "out": str(tmp_path / out), "last_hidden": 8}
        return fit([str(book)], TrainRequest(**values | SMALL | options))

    return train


def scores(lm, text):
    """Score a text in PyTorch and without it."""
    ids = lm.tokenizer.encode(text)[None].astype(np.int64)
    return [p.score(ids, p.start(1))[0] for p in (lm.parts.reader, lm.network)]


@pytest.mark.parametrize("name", SHAPES)
def test_it_is_the_same_after_saving_in_torch_and_in_numpy_and_for_every_use(
    trained, tmp_path, name
):
    shape = SHAPES[name]
    result = trained(steps=30, **shape)
    lm = charlm.load(tmp_path / "run", threads=1)
    network = lm.parts.reader.network
    assert network.config.output_size == shape["last_hidden"]
    assert (network.projection is None) == (name != "gru")
    np.testing.assert_allclose(*scores(lm, STORY), atol=1e-4)
    assert lm.evaluate().nats == pytest.approx(result.held_out.nats, rel=1e-6)
    assert "network+adapt" in lm.evaluate(STORY, predictor="network+adapt").by_predictor
    assert "network+cache" in lm.evaluate(STORY, predictor="network+cache").by_predictor
    assert lm.decompress(lm.compress(STORY.encode())) == STORY.encode()
    assert len(lm.suggest("the ", k=3)) == 3
    lm.read(STORY).save(tmp_path / "state")
    for each in NAMES:
        on = charlm.load(tmp_path / "run", threads=1, predictor=each, state=tmp_path / "state")
        whole = charlm.load(tmp_path / "run", threads=1, predictor=each)
        again = whole.generate(STORY, max_tokens=20, seed=1)
        assert on.generate("", max_tokens=20, seed=1) == again


def test_a_state_of_other_sizes_is_damaged(trained, tmp_path):
    trained(steps=1)
    lm = charlm.load(tmp_path / "run", threads=1)
    lm.read(STORY).save(tmp_path / "state")
    arrays = safetensors.numpy.load_file(tmp_path / "state")
    assert [arrays[f"network.{n}"].shape[1] for n in range(5)] == [16, 16, 8, 8, 8]
    arrays["network.3"] = np.zeros((1, 16), np.float32)
    safetensors.numpy.save_file(arrays, tmp_path / "state")
    with pytest.raises(ModelError, match="is damaged"):
        charlm.load(tmp_path / "run", state=tmp_path / "state").generate("", max_tokens=1)


def test_a_resumed_run_ends_with_the_same_bytes_and_cannot_become_another(trained, tmp_path):
    same = {"schedule": "constant", "warmup": 0.0, "dropout": 0.2, "weight_dropout": 0.2}
    trained(steps=4, out="whole", **same)
    trained(steps=2, **same)
    with pytest.raises(UsageError, match="last_hidden was 8, is now 9"):
        trained(steps=4, resume=True, last_hidden=9, **same)
    trained(steps=4, resume=True, **same)
    whole, run = (
        (tmp_path / out / "checkpoints" / "step-000000004" / "model.safetensors").read_bytes()
        for out in ("whole", "run")
    )
    assert whole == run


def test_a_model_and_a_run_of_before_are_as_they_were(trained, tmp_path):
    trained(steps=2, last_hidden=None)
    run = tmp_path / "run"
    before = charlm.load(run, threads=1).score(STORY)
    config, record = (json.loads((run / name).read_text()) for name in (CONFIG, "run.json"))
    assert config["network"].pop("last_hidden_size", "none") is None
    del config["run"]["request"]["last_hidden"], record["request"]["last_hidden"]
    (run / "run.json").write_text(json.dumps(record))
    with storage.existing_directory(run) as writer:
        for path in run.iterdir():
            if path.is_file() and path.name not in (CONFIG, storage.MANIFEST):
                writer.write_bytes(path.name, path.read_bytes())
        writer.write_json(CONFIG, config)
    assert read_model(run).config["network"].keys() == config["network"].keys()
    assert charlm.load(run, threads=1).score(STORY) == before
    assert read_record(run, TrainRequest).request.last_hidden is None


def test_card_and_info_name_it_and_those_of_other_models_do_not(trained, tmp_path, capsys):
    trained(steps=1)
    card = (tmp_path / "run" / "README.md").read_text()
    assert "2-layer lstm language model (a last layer of 8 units) of" in card
    assert "--last-hidden 8" in card
    assert describe(tmp_path / "run")["last_hidden_size"] == 8
    assert main(["info", str(tmp_path / "run")]) == 0
    assert re.search("last hidden size +8", capsys.readouterr().out)
    trained(steps=1, out="plain", last_hidden=None)
    assert "lstm language model of" in (tmp_path / "plain" / "README.md").read_text()
    assert "last_hidden_size" not in describe(tmp_path / "plain")


@pytest.mark.parametrize(
    "words, said",
    [
        ("--last-hidden 8", "--last-hidden is for --layers 2 or more"),
        ("--last-hidden 0 --layers 2", "--last-hidden must be 1 or more, not 0"),
        ("--last-hidden 99999999 --layers 2", "--last-hidden must be at most 10,000,000"),
        ("--last-hidden few --layers 2", "--last-hidden"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(book, capsys, words, said):
    assert main(["train", str(book), *words.split()]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) <= 5
