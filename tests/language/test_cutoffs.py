"""A model whose head has clusters: trained, saved, loaded, and the same wherever it is asked."""

import json

import numpy as np
import pytest

import charlm
from charlm.language.directory import network_config, read_model
from charlm.language.fit import fit
from charlm.language.request import TrainRequest
from charlm.model.adaptive import AdaptiveHead
from charlm.runs.record import read_record

CUTOFFS = (5, 40)


@pytest.fixture
def trained(text_file, tmp_path):
    """Train with cutoffs."""

    def train(**options):
        small = {
            "hidden": 24,
            "embed": 12,
            "batch": 8,
            "bptt": 16,
            "lr": 0.01,
            "threads": 1,
            "cutoffs": "5,40",
        }
        out = str(tmp_path / "run")
        return fit([str(text_file)], TrainRequest(tokenizer="word", out=out, **small, **options))

    return train


@pytest.mark.parametrize("options", [{}, {"tie": False}, {"batches": "padded"}])
def test_it_trains_and_is_the_same_after_saving_in_torch_and_in_numpy(trained, tmp_path, options):
    result = trained(steps=60, **options)
    files = read_model(tmp_path / "run")
    assert files.config["network"]["cutoffs"] == list(CUTOFFS)
    assert network_config(files).cutoffs == CUTOFFS
    again = charlm.load(tmp_path / "run")
    assert isinstance(again.parts.reader.network.head, AdaptiveHead)
    assert again.evaluate().nats == pytest.approx(result.held_out.nats, rel=1e-6)
    ids = np.array([again.tokenizer.encode("the cat sat on the mat, Zoë!")])
    scores = [p.score(ids, p.start(1))[0] for p in (again.parts.reader, again.network)]
    np.testing.assert_allclose(*scores, atol=1e-4)
    assert isinstance(again.generate("the ", max_tokens=5, seed=1), str)
    assert len(again.suggest("the ", k=3)) == 3


def test_it_learns(trained, tmp_path):
    nats = [trained(steps=steps, force=True).held_out.nats for steps in (1, 200)]
    assert nats[1] < nats[0] / 3


def test_a_resumed_run_goes_on_with_its_cutoffs(trained, tmp_path):
    trained(steps=5)
    assert trained(steps=9, resume=True).model.config["run"]["steps"] == 9
    shapes = json.loads((tmp_path / "run" / "config.json").read_text())["network"]
    assert shapes["cutoffs"] == list(CUTOFFS)


def test_a_run_begun_before_there_were_levels_goes_on_without_them(trained, tmp_path):
    trained(steps=1)
    path = tmp_path / "run" / "run.json"
    value = json.loads(path.read_text())
    del value["chosen"]["cutoffs"]
    path.write_text(json.dumps(value))
    record = read_record(tmp_path / "run", TrainRequest)
    assert record is not None and record.chosen["cutoffs"] == "none"
