"""A model exported to int8: a quarter of the size, hardly worse, read as any other or refused."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import charlm
from charlm import storage
from charlm.cli.main import main
from charlm.errors import DiskError, ModelError, UsageError
from charlm.language.directory import WEIGHTS, read_model, stored_weights
from charlm.language.exporting import export
from charlm.model.rows import Int8Rows
from charlm.storage import system

SENTENCES = ["the cat sat on the mat", "a dog ate the old bone", "we saw no cat by the log"]
CONFIG = "config.json"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    random = np.random.default_rng(1)
    text = "\n".join(SENTENCES[k] for k in random.integers(3, size=900))
    (folder / "book.txt").write_text(text)
    options = {"steps": 60, "hidden": 64, "embed": 32, "batch": 8, "bptt": 16, "threads": 1}
    charlm.train(folder / "book.txt", out=str(folder / "run"), tokenizer="char", **options)
    return folder / "run"


@pytest.fixture(scope="module")
def exported(trained):
    export(trained, "int8", trained.parent / "int8")
    return trained.parent / "int8"


@pytest.fixture
def model(exported, tmp_path):
    return Path(shutil.copytree(exported, tmp_path / "model"))


def seal(model):
    """Make the manifest anew, so that it hides the damage."""
    files = {}
    for path in model.iterdir():
        if path.name != storage.MANIFEST:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            files[path.name] = {"size": path.stat().st_size, "sha256": digest}
    (model / storage.MANIFEST).write_text(json.dumps({"format": 1, "files": files}))


def change(model, entries):
    """Change tensors of the weights' file; None takes one away."""
    arrays = safetensors.numpy.load_file(model / WEIGHTS) | entries
    kept = {name: array for name, array in arrays.items() if array is not None}
    safetensors.numpy.save_file(kept, model / WEIGHTS)
    seal(model)


def test_it_is_about_a_quarter_of_the_size_and_nearly_as_good(trained, exported):
    sizes = [(each / WEIGHTS).stat().st_size for each in (trained, exported)]
    assert sizes[1] < 0.32 * sizes[0]  # scales, biases and the header weigh more in a small one
    bits = [charlm.load(each, threads=1).evaluate().bits_per_byte for each in (trained, exported)]
    assert bits[1] == pytest.approx(bits[0], rel=0.005)


def test_every_matrix_is_within_half_a_scale_of_what_it_was(trained, exported):
    before, after = (stored_weights(read_model(each)) for each in (trained, exported))
    assert before.keys() == after.keys()
    for name, weight in after.items():
        assert isinstance(weight, Int8Rows) == (before[name].ndim == 2)
        if isinstance(weight, Int8Rows):
            errors = np.abs(weight.dequantised() - before[name])
            assert (errors <= 0.5001 * weight.scales[:, None]).all()
        else:
            np.testing.assert_array_equal(weight, before[name])


def test_everything_else_of_the_model_is_there(trained, exported):
    listed = json.loads((trained / storage.MANIFEST).read_text())["files"]
    assert {path.name for path in exported.iterdir()} == {*listed, storage.MANIFEST}
    for name in set(listed) - {WEIGHTS, CONFIG, "README.md"}:
        assert (exported / name).read_bytes() == (trained / name).read_bytes()
    storage.verify(exported, ModelError, contents=True)
    before, after = (json.loads((each / CONFIG).read_text()) for each in (trained, exported))
    assert after == before | {"quantization": "int8"}
    assert charlm.load(exported).combination == charlm.load(trained).combination


def test_numpy_and_pytorch_read_the_same_weights(exported):
    lm = charlm.load(exported, threads=1)
    ids = lm.tokenizer.encode("the cat sat")[None]
    network, reader = lm.network, lm.parts.reader
    ours = network.score(ids, network.start(1))[0]
    np.testing.assert_allclose(ours, reader.score(ids, reader.start(1))[0], atol=1e-4)


def test_every_command_takes_it(exported, tmp_path, capsys):
    (tmp_path / "text").write_text("the cat sat\n")
    for words in (
        ["generate", exported, "the", "--max-tokens", "5", "--seed", "1"],
        ["suggest", exported, "the c"],
        ["score", exported, tmp_path / "text"],
        ["eval", exported, tmp_path / "text", "--json"],
        ["info", exported, "--verify"],
    ):
        assert main([str(word) for word in words]) == 0
        assert capsys.readouterr().out


def test_back_in_float32_it_is_what_int8_stood_for(exported, tmp_path):
    done = export(exported, "float32", tmp_path / "back")
    assert done.bytes > 3 * done.bytes_before
    stored, plain = (stored_weights(read_model(each)) for each in (exported, tmp_path / "back"))
    for name, weight in stored.items():
        own = weight.dequantised() if isinstance(weight, Int8Rows) else weight
        np.testing.assert_array_equal(plain[name], own)
    again = export(tmp_path / "back", "int8", tmp_path / "again")
    assert again.weights == "int8"
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (exported / WEIGHTS).read_bytes()


def test_what_charlm_adapt_found_stays_with_the_model(trained, tmp_path):
    from charlm.language.adapting import Tuned, read_tuned, write_tuned
    from charlm.predict.adaptation import Adaptation

    source = Path(shutil.copytree(trained, tmp_path / "tuned"))
    write_tuned(source, Tuned(Adaptation(rate=0.25), None))
    export(source, "int8", tmp_path / "out")
    assert read_tuned(tmp_path / "out").adaptation.rate == 0.25


def test_a_wrong_wish_is_refused_with_what_to_do(trained, exported, tmp_path, capsys):
    out = tmp_path / "out"
    for source, to, place, said in (
        (trained, "int9", out, "did you mean 'int8'"),
        (trained, "float64", out, "did you mean 'float32'"),
        (trained, "xyz", out, "there are int8 and float32"),
        (trained, "float32", out, "in float32 already"),
        (exported, "int8", out, "in int8 already"),
        (trained, "int8", trained, "the model itself"),
        (trained, "int8", exported, "--force"),
        (trained, "int8", trained.parent / "book.txt", "--force"),
    ):
        assert main(["export", str(source), "--to", to, "--out", str(place)]) == 2
        assert said in capsys.readouterr().err
    assert not out.exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    with pytest.raises(UsageError, match="is no model"):
        export(trained, "int8", tmp_path / "mine", force=True)
    assert (tmp_path / "mine" / "letter").exists()


def test_force_replaces_another_model(trained, tmp_path, capsys):
    out = tmp_path / "out"
    export(trained, "int8", out)
    words = ["export", str(trained), "--to", "int8", "--out", str(out), "--force", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["weights"] == "int8"
    read_model(out)


def test_a_disk_that_fills_leaves_nothing(trained, tmp_path, monkeypatch):
    def full(operation, path):
        if operation == "write" and "counts" in path.name:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(system, "observer", full)
    with pytest.raises(DiskError):
        export(trained, "int8", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_source_is_not_exported(trained, tmp_path):
    source = Path(shutil.copytree(trained, tmp_path / "model"))
    data = bytearray((source / "counts.safetensors").read_bytes())
    data[-1] ^= 1
    (source / "counts.safetensors").write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        export(source, "int8", tmp_path / "out")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_a_scale_that_is_none_is_refused(model, value):
    scales = safetensors.numpy.load_file(model / WEIGHTS)["embedding.scale"]
    scales[3] = value
    change(model, {"embedding.scale": scales})
    with pytest.raises(ModelError, match=r"embedding\.scale"):
        charlm.load(model).generate("the", max_tokens=1)


def test_weights_that_are_not_as_the_configuration_says_are_refused(model, trained):
    name = "stack.layers.0.weight_hh"
    whole = safetensors.numpy.load_file(model / WEIGHTS)
    for entries, said in (
        ({name + ".scale": None}, "lacks"),
        ({name + ".scale": whole[name + ".scale"][:-1]}, "scale is F32"),
        ({name: whole[name].astype(np.float32)}, "not I8"),
        ({"stack.layers.0.bias_hh.scale": whole[name + ".scale"]}, "foreign"),
    ):
        change(model, whole | entries)
        with pytest.raises(ModelError, match=said):
            read_model(model)
    shutil.copy(trained / WEIGHTS, model / WEIGHTS)
    seal(model)
    with pytest.raises(ModelError, match="lacks"):
        read_model(model)


@pytest.mark.parametrize("value", ["int9", "int4", 8, ["int8"], True])
def test_an_unknown_quantization_is_refused(model, value, capsys):
    config = json.loads((model / CONFIG).read_text()) | {"quantization": value}
    (model / CONFIG).write_text(json.dumps(config))
    seal(model)
    assert main(["info", str(model)]) == 4
    assert "quantization" in capsys.readouterr().err


def test_int8_weights_that_pose_as_float32_are_refused(model):
    config = json.loads((model / CONFIG).read_text())
    del config["quantization"]
    (model / CONFIG).write_text(json.dumps(config))
    seal(model)
    with pytest.raises(ModelError, match="foreign to the network"):
        read_model(model)
