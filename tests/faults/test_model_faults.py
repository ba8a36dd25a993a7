"""Any model file: damaged, foreign and hostile ones are refused by name, before they cost anything.

b1 to b8 are faults of the weights, b9 and b10 of the configuration, b11 to b13 of the tokenizer,
b14 to b20 of the directory as a whole.
"""

import hashlib
import json
import os
import pickle
import shutil
import stat
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import charlm
from charlm import storage
from charlm.errors import ModelError
from charlm.language.configuration import MIGRATIONS
from charlm.language.directory import (
    describe,
    network_config,
    read_model,
    read_weights,
    write_model,
)
from charlm.storage import system

TEXT = "the cat sat on the mat and the dog sat on the log\n" * 40
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Train the model that every test damages in its own way."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "book.txt").write_text(TEXT)
    out = folder / "run"
    charlm.train(folder / "book.txt", out=str(out), steps=2, hidden=8, tokenizer="char", threads=1)
    return out


@pytest.fixture
def model(trained, tmp_path):
    """Copy the model, to be damaged."""
    return Path(shutil.copytree(trained, tmp_path / "model"))


def seal(model: Path, **entries) -> None:
    """Make the manifest anew, so that it hides the damage."""
    names = [path.name for path in model.iterdir() if path.is_file()]
    files = {}
    for name in set(names) - {storage.MANIFEST}:
        path = model / name
        size = path.stat().st_size
        digest = hashlib.sha256(path.read_bytes() if size < 10**8 else b"").hexdigest()
        files[name] = {"size": size, "sha256": digest}
    manifest = {"format": 1, "files": files | entries}
    (model / storage.MANIFEST).write_text(json.dumps(manifest))


def configure(model: Path, network=None, **entries) -> None:
    """Change entries of config.json."""
    config = json.loads((model / CONFIG).read_text())
    config |= entries
    config["network"] |= network or {}
    (model / CONFIG).write_text(json.dumps(config))
    seal(model)


def change_tokenizer(model: Path, change) -> None:
    """Change tokenizer.json, and the SHA-256 by which the configuration knows it."""
    tree = json.loads((model / TOKENIZER).read_text())
    change(tree)
    text = json.dumps(tree)
    (model / TOKENIZER).write_text(text)
    configure(model, tokenizer_sha256=hashlib.sha256(text.encode()).hexdigest())


def use(model: Path) -> str:
    return charlm.load(model).generate("a", max_tokens=1, seed=1)


def refusal(model: Path, *said: str) -> ModelError:
    """Use a model that is to be refused in one sentence that says all of `said`."""
    with pytest.raises(ModelError) as caught:
        use(model)
    message = caught.value.message
    for words in said:
        assert words in message, message
    assert str(model) in message and len(message.splitlines()) == 1 and len(message) < 700
    return caught.value


def command(*words, **options):
    run = [sys.executable, "-m", "charlm", *map(str, words)]
    return subprocess.run(run, capture_output=True, text=True, timeout=60, **options)


def refused_by_the_command(model: Path, *said: str) -> None:
    done = command("generate", model, "a", "--max-tokens", 1)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) <= 5
    assert done.stdout == "" and all(words in done.stderr for words in said), done.stderr


def header_of(data: bytes) -> dict:
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length])


def with_header(header, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    (length,) = struct.unpack("<Q", data[:8])
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def save_weights(model: Path, arrays) -> None:
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    (model / WEIGHTS).write_bytes(safetensors.numpy.save(whole))
    seal(model)


def weights(model: Path) -> dict[str, np.ndarray]:
    return safetensors.numpy.load((model / WEIGHTS).read_bytes())


def test_the_model_that_the_tests_damage_is_sound(model):
    seal(model)
    assert len(use(model)) == 1


def test_b1_a_file_cut_at_any_byte_of_its_header_is_refused(model):
    whole = (model / WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    places = [*range(8 + length), *np.linspace(8 + length, len(whole) - 1, 100).astype(int)]
    shapes = network_config(read_model(model)).parameter_shapes()
    for place in places:
        os.truncate(model / WEIGHTS, 0)
        (model / WEIGHTS).write_bytes(whole[:place])
        with pytest.raises(ModelError, match=f"{WEIGHTS} is (cut off|empty)") as caught:
            read_weights(model, shapes)
        if place >= 8:
            missing = 8 + length - place if place < 8 + length else len(whole) - place
            assert f"{missing:,} " in caught.value.message


def test_b1_a_cut_file_is_refused_with_and_without_the_manifests_help(model):
    os.truncate(model / WEIGHTS, 100)
    refusal(model, WEIGHTS, "has 100 bytes instead of")
    seal(model)
    refusal(model, "cut off")
    refused_by_the_command(model, WEIGHTS, "cut off")


@pytest.mark.parametrize("length", [0, 2**20 + 1, 10**8, 2**63, 2**64 - 1])
def test_b2_an_impossible_header_length_is_refused_at_once(model, length):
    data = (model / WEIGHTS).read_bytes()
    (model / WEIGHTS).write_bytes(struct.pack("<Q", length) + data[8:])
    seal(model)
    start = time.process_time()
    refusal(model, WEIGHTS, "header")
    assert time.process_time() - start < 0.1


def test_b2_a_hundred_megabytes_of_names_are_never_read(model):
    length = 100 * 10**6
    with (model / WEIGHTS).open("wb") as stream:
        stream.write(struct.pack("<Q", length) + b'{"')
        stream.truncate(8 + length)
    seal(model)
    tracemalloc.start()
    start = time.process_time()
    refusal(model, "100,000,000")
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 0.1 and peak < 4 * 2**20


def test_b2_as_many_names_as_fit_the_limit_are_refused_at_once(model):
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    text = json.dumps({str(number): empty for number in range(14_000)}).encode()
    (model / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text)
    seal(model)
    start = time.process_time()
    refusal(model, "and 13,995 more")
    assert time.process_time() - start < 1.0


HEADERS = {
    "overlapping": lambda h: h["head.bias"].update(data_offsets=h["embedding"]["data_offsets"]),
    "a hole": lambda h: h.pop("head.bias"),
    "negative offsets": lambda h: h["head.bias"].update(data_offsets=[-4, 0]),
    "an overflowing shape": lambda h: h["head.bias"].update(shape=[2**62, 4]),
    "another type": lambda h: h["head.bias"].update(dtype="F64"),
    "a type of the same size": lambda h: h["head.bias"].update(dtype="I32"),
    "an unknown type": lambda h: h["head.bias"].update(dtype="PICKLE"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_b3_a_header_that_contradicts_itself_is_refused(model, name):
    data = (model / WEIGHTS).read_bytes()
    header = header_of(data)
    HEADERS[name](header)
    (model / WEIGHTS).write_bytes(with_header(header, data))
    seal(model)
    refusal(model, WEIGHTS)


def test_b3_a_tensor_named_twice_is_refused(model):
    data = (model / WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    entry = json.dumps(header_of(data)["head.bias"])
    text = data[8 : 8 + length].rstrip().removesuffix(b"}") + f',"head.bias":{entry}}}'.encode()
    (model / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    seal(model)
    refusal(model, "'head.bias' stands there twice")


class Tripwire:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch '{self.path}'",))


def foreign(tmp_path: Path) -> dict[str, bytes]:
    bomb = pickle.dumps(Tripwire(tmp_path / "tripped"))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123456\n"
    return {
        "a pickle": bomb,
        "a zip archive": (tmp_path / "x.zip").read_bytes(),
        "an HTML page": b"\n<!DOCTYPE html><html><body>404</body></html>",
        "a git-lfs pointer": pointer.encode(),
        "empty": b"",
    }


@pytest.mark.parametrize(
    "kind", ["a pickle", "a zip archive", "an HTML page", "a git-lfs pointer", "empty"]
)
def test_b4_a_foreign_file_is_named_and_never_unpickled(model, tmp_path, kind):
    (model / WEIGHTS).write_bytes(foreign(tmp_path)[kind])
    seal(model)
    error = refusal(model, WEIGHTS, f"is {kind}")
    assert error.hint
    if kind == "a git-lfs pointer":
        assert "git lfs pull" in error.hint
        refused_by_the_command(model, "git lfs pull")
    assert not (tmp_path / "tripped").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_b4_no_protocol_of_pickle_is_unpickled(model, tmp_path, protocol):
    bomb = pickle.dumps(Tripwire(tmp_path / "tripped"), protocol)
    for name in (WEIGHTS, CONFIG, TOKENIZER):
        kept = (model / name).read_bytes()
        (model / name).write_bytes(bomb)
        seal(model)
        refusal(model, name)
        (model / name).write_bytes(kept)
    assert not (tmp_path / "tripped").exists()


def test_b5_extra_missing_and_misnamed_tensors_are_listed(model):
    arrays = weights(model)
    save_weights(model, arrays | {f"extra.{n}": np.zeros(1, np.float32) for n in range(7)})
    refusal(model, "'extra.0', 'extra.1', 'extra.2', 'extra.3', 'extra.4' and 2 more")
    save_weights(model, {name: array for name, array in arrays.items() if name != "head.bias"})
    refusal(model, "lacks 'head.bias'")
    misnamed = {name.replace("head.bias", "head_bias"): array for name, array in arrays.items()}
    save_weights(model, misnamed)
    refusal(model, "lacks 'head.bias' and holds 'head_bias'")


def test_b6_wrong_shapes_and_types_are_refused_before_the_data_are_read(model):
    arrays = weights(model)
    name = "stack.layers.0.weight_hh"
    for other in (arrays[name].T, arrays[name].reshape(-1), arrays[name].astype(np.float16)):
        save_weights(model, arrays | {name: other})
        with pytest.raises(ModelError, match=f"{name} is F"):
            charlm.load(model)  # reads no weights yet


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_b7_weights_that_are_not_finite_are_refused_unless_asked_for(model, value):
    arrays = weights(model)
    arrays["head.bias"] = np.full_like(arrays["head.bias"], value)
    save_weights(model, arrays)
    refusal(model, "head.bias holds NaN or infinity")
    shapes = {name: array.shape for name, array in arrays.items()}
    read = read_weights(model, shapes, allow_nonfinite=True)
    assert not np.isfinite(read["head.bias"]).any()


@pytest.mark.parametrize(
    "network",
    [
        {"hidden_size": 10**9},
        {"embed_size": 2**31 - 1, "hidden_size": 2**31 - 1, "vocab_size": 2**31 - 1},
        {"num_layers": 10**9},
        {"num_layers": 2},
        {"num_layers": 2, "last_hidden_size": 2**31 - 1},
        {"vocab_size": 10**9},
        {"hidden_size": 2**63},
        {"hidden_size": 10**4000},
    ],
    ids=lambda network: " ".join(network) + f" {len(str(max(network.values())))} digits",
)
def test_b8_a_huge_network_costs_no_memory(model, network):
    configure(model, network)
    size = (model / WEIGHTS).stat().st_size
    tracemalloc.start()
    refusal(model)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * size + 2**20


CONFIGS = {
    "empty": "",
    "not JSON": "model_type = charlm",
    "an array": "[]",
    "a number": "7",
    "null": "null",
    "half": '{"model_type": "charlm", "charlm_for',
    "NaN": '{"model_type": "charlm", "charlm_format": NaN}',
    "infinity": '{"model_type": "charlm", "charlm_format": 1e999}',
    "a lone surrogate": r'{"model_type": "charlm", "charlm_version": "\ud800"}',
    "100,000 brackets": "[" * 100_000,
    "100,000 braces": '{"a":' * 100_000,
    "a number of 10 kB": '{"model_type": "charlm", "charlm_format": ' + "9" * 10_000 + "}",
    "another model": '{"model_type": "gpt2"}',
    "no network": '{"model_type": "charlm", "charlm_format": 1}',
    "UTF-16": '{"model_type": "charlm"}'.encode("utf-16"),
    "bytes": bytes(range(256)),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_b9_a_configuration_that_is_none_is_refused(model, name):
    text = CONFIGS[name]
    (model / CONFIG).write_bytes(text if isinstance(text, bytes) else text.encode())
    seal(model)
    refusal(model, CONFIG)


def test_b9_a_configuration_of_a_gigabyte_is_not_read(model):
    os.truncate(model / CONFIG, 2**30)
    seal(model)
    refusal(model, CONFIG, "too large")


@pytest.mark.parametrize(
    "network",
    [
        {"hidden_size": "8"},
        {"hidden_size": 8.0},
        {"hidden_size": True},
        {"hidden_size": None},
        {"hidden_size": 0},
        {"hidden_size": -(10**4000)},
        {"last_hidden_size": 8},
        {"last_hidden_size": 0, "num_layers": 2},
        {"last_hidden_size": "8", "num_layers": 2},
        {"cell": "transformer"},
        {"cell": ["lstm"]},
        {"tie_weights": 1},
        {"input_dropout": 2},
        {"input_dropout": "x" * 10_000},
        {"input_dropout": list(range(10_000))},
        {"cutoffs": 5},
        {"cutoffs": None},
        {"cutoffs": "5"},
        {"cutoffs": {"5": 5}},
        {"cutoffs": [5.0]},
        {"cutoffs": [True]},
        {"cutoffs": [[5]]},
        {"cutoffs": [0, 5]},
        {"cutoffs": [-5]},
        {"cutoffs": [7, 5]},
        {"cutoffs": [5, 5]},
        {"cutoffs": [10**4000]},
        {"cutoffs": list(range(1, 100_000))},
        {"mogrifier": -1},
        {"mogrifier": 2.0},
        {"mogrifier": True},
        {"mogrifier": None},
        {"mogrifier": "5"},
        {"mogrifier": 10**9},
        {"mogrifier": 10**4000},
        {"mogrifier_rank": 2},
        {"mogrifier_rank": [2]},
        {"mixtures": 0},
        {"mixtures": 3.0},
        {"mixtures": 3},
    ],
    ids=lambda network: repr(network)[:40],
)
def test_b9_values_of_the_wrong_type_are_refused(model, network):
    configure(model, network)
    refusal(model, CONFIG, next(iter(network)))


@pytest.mark.parametrize("name", ["run", "held_out", "held_out_text", "network"])
def test_b9_entries_that_are_no_objects_are_refused(model, name):
    config = json.loads((model / CONFIG).read_text()) | {name: "text"}
    (model / CONFIG).write_text(json.dumps(config))
    seal(model)
    refusal(model, CONFIG, name)


def test_b9_cutoffs_that_the_weights_know_nothing_of_are_refused(model):
    configure(model, {"cutoffs": [5, 7]})
    refusal(model, WEIGHTS, "head.cluster_bias is F32[1], not F32[2]")
    configure(model, {"cutoffs": []})
    refusal(model, WEIGHTS, "holds 'head.cluster_bias', 'head.cluster_weight'")
    arrays = weights(model)
    save_weights(model, {name: arrays[name] for name in arrays if "cluster" not in name})
    configure(model, {"cutoffs": [5, 7]})
    refusal(model, WEIGHTS, "lacks 'head.cluster_bias', 'head.cluster_weight'")


def test_b9_rounds_and_mixtures_that_the_weights_know_nothing_of_are_refused(model):
    configure(model, {"mogrifier": 1})
    refusal(model, WEIGHTS, "lacks 'stack.layers.0.mogrifier.rounds.0.weight'")
    configure(model, {"mogrifier": 0, "mixtures": 2, "cutoffs": []})
    refusal(model, WEIGHTS, "lacks 'head.latent_bias', 'head.latent_weight', 'head.prior_weight'")


def test_b9_a_model_from_before_there_were_rounds_and_mixtures_is_read(model):
    config = json.loads((model / CONFIG).read_text())
    for name in ("mogrifier", "mogrifier_rank", "mixtures"):
        del config["network"][name]
    (model / CONFIG).write_text(json.dumps(config))
    seal(model)
    use(model)


def test_b9_an_unknown_entry_of_the_network_is_named(model):
    configure(model, {"hiden_size": 8})
    assert refusal(model, CONFIG, "'hiden_size'").hint == "did you mean 'hidden_size'?"
    refused_by_the_command(model, "did you mean 'hidden_size'?")


def test_b9_a_missing_entry_of_the_network_is_named(model):
    config = json.loads((model / CONFIG).read_text())
    del config["network"]["hidden_size"]
    (model / CONFIG).write_text(json.dumps(config))
    seal(model)
    refusal(model, "does not say 'hidden_size'")


def test_b10_keys_that_name_code_are_ignored_and_nothing_is_imported(model):
    tripwire = "import pathlib\npathlib.Path(__file__).with_name('tripped').touch()\n"
    (model / "evil_model.py").write_text(tripwire)
    before = command("generate", model, "a", "--max-tokens", 1, "--seed", 1, cwd=model)
    keys = {
        "_target_": "evil_model.Evil",
        "auto_map": {"AutoModel": "evil_model.Evil", "AutoTokenizer": "evil_model.Evil"},
        "trust_remote_code": True,
        "custom_pipelines": {"text-generation": {"impl": "evil_model.Evil"}},
    }
    configure(model, **keys)
    (model / "tokenizer_config.json").write_text(json.dumps(keys))
    seal(model)
    after = command("generate", model, "a", "--max-tokens", 1, "--seed", 1, cwd=model)
    assert after.returncode == 0 and after.stdout == before.stdout
    modules = set(sys.modules)
    use(model)
    assert not {name for name in set(sys.modules) - modules if "evil" in name}
    assert not (model / "tripped").exists()


def remake(text: str, kind: str = "char"):
    from charlm.text.learning import learn_tokenizer

    return learn_tokenizer(kind, lambda: [text])


@pytest.mark.parametrize("text", ["the cat", TEXT + "ABCDEFG"], ids=["fewer", "more"])
def test_b11_a_vocabulary_of_another_size_is_refused(model, text):
    made = remake(text)
    (model / TOKENIZER).write_text(made.to_json())
    configure(model, tokenizer_sha256=made.sha256(), boundary_id=made.boundary_id)
    refusal(model, TOKENIZER, f"{made.vocab_size} tokens")


def test_b11_another_tokenizer_of_the_same_size_is_refused(model):
    own = read_model(model).tokenizer
    other = remake(TEXT.replace("c", "q"))
    assert other.vocab_size == own.vocab_size
    (model / TOKENIZER).write_text(other.to_json())
    seal(model)
    refusal(model, TOKENIZER, "not the tokenizer this model was trained with")


def template(token):
    return {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": token, "type_id": 0}}],
        "pair": [],
        "special_tokens": {},
    }


TREES = {
    "a merge longer than any key": lambda t: t["model"].update(merges=[["a" * 99, "b" * 99]]),
    "a merge of one symbol": lambda t: t["model"].update(merges=[["a"]]),
    "a template of an absent token": lambda t: t.update(post_processor=template("[CLS]")),
    "a stride above the length": lambda t: t.update(
        truncation={
            "direction": "Right",
            "max_length": 2,
            "strategy": "LongestFirst",
            "stride": 9,
        }
    ),
    "pieces of no length": lambda t: t.update(pre_tokenizer={"type": "FixedLength", "length": 0}),
    "a bad character map": lambda t: t.update(
        normalizer={"type": "Precompiled", "precompiled_charsmap": "/////wAAAAA="}
    ),
    "a hostile pattern": lambda t: t.update(
        pre_tokenizer={
            "type": "Split",
            "pattern": {"Regex": "(((a{1000}){1000}){1000}"},
            "behavior": "Isolated",
            "invert": False,
        }
    ),
    "a megabyte of rules": lambda t: t.update(
        normalizer={"type": "Replace", "pattern": {"String": "a" * 10**6}, "content": ""}
    ),
    "added tokens": lambda t: t.update(added_tokens=[{"id": 2**31, "content": "<x>"}]),
    "a sparse id": lambda t: t["model"]["vocab"].update({"a": 2**31}),
    "a huge id": lambda t: t["model"]["vocab"].update({"a": 2**70}),
    "a negative id": lambda t: t["model"]["vocab"].update({"a": -1}),
    "one id twice": lambda t: t["model"]["vocab"].update({"a": t["model"]["vocab"]["t"]}),
    "a fraction as an id": lambda t: t["model"]["vocab"].update({"a": 1.5}),
    "a lone surrogate": lambda t: t["model"]["vocab"].update({"\ud800": 7}),
    "another model": lambda t: t.update(model={"type": "Unigram", "vocab": [["a", 0.0]]}),
    "no model": lambda t: t.pop("model"),
}
CRAFTED = [name for name in TREES if "id" not in name.split()]
IDS = [name for name in TREES if "id" in name.split()]


@pytest.mark.parametrize("name", CRAFTED)
def test_b12_a_crafted_tokenizer_is_refused_and_no_panic_escapes(model, name, capfd):
    change_tokenizer(model, TREES[name])
    refusal(model, TOKENIZER)
    assert "panicked" not in capfd.readouterr().err


@pytest.mark.parametrize("merges", [[["a" * 99, "b"]], [["t", "h"], ["t", "h", "e"]], ["th"], [7]])
def test_b12_crafted_merges_of_byte_pairs_are_refused(model, merges, capfd):
    made = remake(TEXT, "bpe")
    (model / TOKENIZER).write_text(made.to_json())
    change_tokenizer(model, lambda tree: tree["model"].update(merges=merges))
    refusal(model)
    with pytest.raises(ModelError, match=TOKENIZER):
        charlm.text.loading.load_tokenizer(model / TOKENIZER)
    assert "panicked" not in capfd.readouterr().err


def test_b12_a_refused_tokenizer_ends_the_command_in_order(model):
    change_tokenizer(model, TREES["a template of an absent token"])
    refused_by_the_command(model, TOKENIZER)


def test_b12_the_tokenizers_configuration_is_not_even_opened(model):
    (model / "tokenizer_config.json").write_bytes(b"[" * 100_000)
    refusal(model, "tokenizer_config.json")  # by its size
    seal(model)
    assert len(use(model)) == 1


def test_b13_a_tokenizer_of_a_gigabyte_is_not_read(model):
    os.truncate(model / TOKENIZER, 2**30)
    seal(model)
    start = time.process_time()
    refusal(model, TOKENIZER, "too large", "1,073,741,824")
    assert time.process_time() - start < 0.2


@pytest.mark.parametrize("name", IDS)
def test_b13_ids_with_gaps_or_beyond_any_table_are_refused(model, name):
    change_tokenizer(model, TREES[name])
    refusal(model, TOKENIZER)


@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/passwd", "a/../../secret", "", ".", "\0", "\ud800", "x" * 5000, "a\nb"],
    ids=ascii,
)
def test_b14_the_manifest_names_only_files_of_the_directory(model, name):
    (model.parent / "secret").write_text("secret")
    seal(model, **{name: {"size": 6, "sha256": hashlib.sha256(b"secret").hexdigest()}})
    error = refusal(model, storage.MANIFEST)
    assert "bad entry" in error.message or "JSON" in error.message
    with pytest.raises(ModelError):
        describe(model, verify=True)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, TOKENIZER, storage.MANIFEST, "held-out.bin"])
def test_b14_a_link_out_of_the_directory_is_refused(model, tmp_path, name):
    (model / name).rename(tmp_path / "outside")
    (model / name).symlink_to(tmp_path / "outside")
    refusal(model, name, "leads out of the directory")


def test_b14_links_within_the_directory_and_to_it_are_followed(model, tmp_path):
    (model / WEIGHTS).rename(model / "weights-1")
    (model / WEIGHTS).symlink_to("weights-1")
    (tmp_path / "newest").symlink_to(model)
    assert len(use(tmp_path / "newest")) == 1


def test_b14_a_snapshot_of_hugging_faces_cache_is_read(model, tmp_path):
    blobs, snapshot = tmp_path / "hub" / "blobs", tmp_path / "hub" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for path in [path for path in model.iterdir() if path.is_file()]:
        blob = blobs / hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copy(path, blob)
        (snapshot / path.name).symlink_to(f"../../blobs/{blob.name}")
    assert len(use(snapshot)) == 1


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, TOKENIZER, storage.MANIFEST])
def test_b14_pipes_devices_loops_and_directories_are_refused_at_once(model, name):
    path = model / name
    path.unlink()
    os.mkfifo(path)
    refusal(model, name, "not a regular file")
    path.unlink()
    path.symlink_to("/dev/zero")
    refusal(model, name, "leads out")
    path.unlink()
    path.symlink_to(name)
    refusal(model, name)
    path.unlink()
    path.mkdir()
    refusal(model, name, "not a regular file")


def test_b15_verify_says_which_file_differs(model):
    data = bytearray((model / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (model / WEIGHTS).write_bytes(data)
    with pytest.raises(ModelError, match=f"{WEIGHTS} is damaged"):
        describe(model, verify=True)
    done = command("info", model, "--verify")
    assert done.returncode == 4 and f"{WEIGHTS} is damaged" in done.stderr


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, TOKENIZER, "README.md", "held-out.bin"])
def test_b15_a_missing_file_is_named(model, name):
    (model / name).unlink()
    refusal(model, f"{name} is missing")


def test_b15_a_file_that_the_manifest_leaves_out_is_not_taken(model):
    manifest = json.loads((model / storage.MANIFEST).read_text())
    del manifest["files"][WEIGHTS]
    (model / storage.MANIFEST).write_text(json.dumps(manifest))
    refusal(model, f"does not list {WEIGHTS}")


def test_b15_a_file_of_someone_elses_does_no_harm(model):
    (model / "notes.txt").write_text("mine")
    assert describe(model, verify=True)["verified"] is True


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": []}', '{"files": {"a": 1}}', "[" * 100_000, "null", "NaN"]
)
def test_b15_a_damaged_manifest_is_named(model, text):
    (model / storage.MANIFEST).write_text(text)
    refusal(model, storage.MANIFEST)


def test_b15_a_manifest_of_a_gigabyte_is_not_read(model):
    os.truncate(model / storage.MANIFEST, 2**30)
    refusal(model, storage.MANIFEST, "too large")


@pytest.mark.parametrize("number", [2, 10**4000])
def test_b16_a_newer_format_is_refused_with_the_hint_to_update(model, number):
    configure(model, charlm_format=number)
    assert "update charlm" in refusal(model, CONFIG, "this charlm reads 1").hint


@pytest.mark.parametrize("number", [0, -1, -(10**4000)])
def test_b16_an_older_format_is_refused_with_the_hint_to_train_again(model, number):
    configure(model, charlm_format=number)
    assert "train the model again" in refusal(model, CONFIG, "this charlm reads 1").hint


@pytest.mark.parametrize("number", [True, 1.0, "1", None])
def test_b16_a_format_that_is_no_whole_number_is_refused(model, number):
    configure(model, charlm_format=number)
    refusal(model, CONFIG, "does not say its format")


def test_b16_a_migration_is_used_where_there_is_one(model, monkeypatch):
    before = charlm.load(model).score("the cat")
    configure(model, {"cell": "LSTM"}, charlm_format=0)

    def migrate(config):
        return config | {"network": config["network"] | {"cell": "lstm"}}

    monkeypatch.setitem(MIGRATIONS, 0, migrate)
    assert charlm.load(model).score("the cat") == before


def test_b17_a_read_only_directory_is_used_without_an_attempt_to_write(model, monkeypatch):
    def refuse(operation, path):
        raise AssertionError(f"{operation} of {path}")

    monkeypatch.setattr(system, "observer", refuse)
    for path in model.iterdir():
        path.chmod(0o500 if path.is_dir() else 0o400)
    model.chmod(0o500)
    before = {path: path.stat().st_mtime_ns for path in model.rglob("*")}
    lm = charlm.load(model)
    lm.generate("a", max_tokens=2)
    lm.suggest("the c")
    assert lm.evaluate().tokens > 0
    assert {path: path.stat().st_mtime_ns for path in model.rglob("*")} == before
    model.chmod(0o700)


def test_b18_files_have_the_mode_of_any_new_file_and_keep_an_old_ones(model, tmp_path):
    files, network = read_model(model), charlm.load(model).parts.reader.network
    arrays = {name: p.detach().numpy() for name, p in network.named_parameters()}
    previous = os.umask(0o027)
    try:
        with storage.new_directory(tmp_path / "saved") as writer:
            write_model(writer, files.config, arrays, files.tokenizer, "card")
    finally:
        os.umask(previous)
    for path in (tmp_path / "saved").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o640, path
    (tmp_path / "saved" / WEIGHTS).chmod(0o604)
    with storage.existing_directory(tmp_path / "saved") as writer:
        write_model(writer, files.config, arrays, files.tokenizer, "card")
    assert stat.S_IMODE((tmp_path / "saved" / WEIGHTS).stat().st_mode) == 0o604


def test_b19_saving_over_the_directory_just_loaded_keeps_the_weights(model):
    before, kept = weights(model), charlm.load(model).score("the cat")
    files = read_model(model)
    read = read_weights(model, {name: array.shape for name, array in before.items()})
    (model / WEIGHTS).write_bytes(bytes((model / WEIGHTS).stat().st_size))  # as a careless save
    with storage.existing_directory(model) as writer:
        write_model(writer, files.config, read, files.tokenizer, "card")
    after = weights(model)
    assert all((after[name] == array).all() for name, array in before.items())
    assert charlm.load(model).score("the cat") == kept


def test_b20_tied_weights_are_one_tensor_on_disk_and_tied_again_on_load(model):
    assert read_model(model).config["network"]["tie_weights"] is True
    assert "head.weight" not in weights(model)
    network = charlm.load(model).parts.reader.network
    assert network.head.weight is network.embedding


HELD_OUT = {
    "more ids than there are": {"ids": 10**12},
    "more documents than there are": {"documents": 10**12},
    "a number of 4,000 digits": {"ids": 10**4000},
    "a negative number": {"ids": -1},
    "a fraction": {"ids": 1.5},
    "objects": {"type": "O"},
    "arrays": {"type": "(1000000000,)u1"},
    "no type": {"type": None},
}


@pytest.mark.parametrize("name", HELD_OUT)
def test_held_out_text_of_hostile_size_is_refused(model, name):
    description = json.loads((model / CONFIG).read_text())["held_out_text"]
    configure(model, held_out_text=description | HELD_OUT[name])
    with pytest.raises(ModelError, match=r"held-out"):
        charlm.load(model).evaluate()


@pytest.mark.parametrize("value", [-1, 10**6, 2**62])
@pytest.mark.parametrize("column", [0, 5])
def test_a_held_out_table_that_points_elsewhere_is_refused(model, value, column):
    path = model / "held-out.documents.bin"
    rows = np.fromfile(path, dtype="<i8").reshape(-1, 7)
    rows[0, column] = value
    path.write_bytes(rows.tobytes())
    seal(model)
    with pytest.raises(ModelError, match=r"not a table"):
        charlm.load(model).evaluate()


def test_held_out_ids_that_the_tokenizer_lacks_are_refused(model):
    path = model / "held-out.bin"
    path.write_bytes(b"\xff" * path.stat().st_size)
    seal(model)
    with pytest.raises(ModelError, match=r"does not have"):
        charlm.load(model).evaluate()
