"""A model's own defaults of generation, and the names that people know options by."""

import json
import shutil

import numpy as np
import pytest

import charlm
from charlm.cli.main import main
from charlm.errors import ModelError, UsageError
from charlm.language.generating import MAX_TOKENS, generator_keywords, read_defaults
from tests.conftest import SENTENCES


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    where = tmp_path_factory.mktemp("generating")
    (where / "book.txt").write_text(SENTENCES * 40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARLM_CACHE", str(where / "cache"))
        charlm.train(
            where / "book.txt", steps=30, hidden=16, threads=1, seed=1, out=where / "model"
        )
    return where / "model"


@pytest.fixture
def model(trained, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(trained, copy)
    return copy


def configure(model, **values):
    """Change generation_config.json, and the manifest that knows its size."""
    path = model / "generation_config.json"
    path.write_text(json.dumps(values))
    manifest = json.loads((model / "MANIFEST.json").read_text())
    manifest["files"][path.name]["size"] = path.stat().st_size
    (model / "MANIFEST.json").write_text(json.dumps(manifest))


def test_the_models_own_defaults_count_where_nothing_is_given(model):
    configure(model, temperature=0.1, max_new_tokens=7, top_k=4, of_another_library=1)
    lm = charlm.load(model)
    sample = lm.samples("the c", seed=1)[0]
    assert sample.tokens == 7
    given = {"temperature": 0.1, "top_k": 4, "max_tokens": 7, "seed": 1}
    assert sample == lm.samples("the c", **given)[0]
    assert lm.samples("the c", max_tokens=3, seed=1)[0].tokens == 3


def test_not_to_sample_is_the_most_probable(model):
    configure(model, do_sample=False, temperature=1.5)
    assert read_defaults(model)["temperature"] == 0.0
    lm = charlm.load(model)
    assert lm.generate("the c", max_tokens=9) == lm.generate("the c", max_tokens=9)


def test_without_the_file_charlms_own_count(model):
    (model / "generation_config.json").unlink()
    assert read_defaults(model) == {"temperature": 0.8, "max_tokens": MAX_TOKENS}


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": "hot"},
        {"temperature": -1},
        {"top_p": 2},
        {"top_k": 1.5},
        {"max_new_tokens": -1},
        {"max_new_tokens": True},
        {"do_sample": "yes"},
    ],
)
def test_a_senseless_default_is_refused_by_its_name(model, values, capsys):
    configure(model, **values)
    with pytest.raises(ModelError, match="generation_config"):
        read_defaults(model)
    assert main(["generate", str(model), "x"]) == 4
    error = capsys.readouterr().err
    assert next(iter(values)).replace("_", "-") in error.replace("_", "-")


def test_options_have_the_names_of_other_libraries_too(trained):
    lm = charlm.load(trained)
    ours = lm.samples("the", 2, max_tokens=9, stop=["q"], seed=1)
    assert lm.samples("the", n=2, max_new_tokens=9, stop_strings=["q"], seed=1) == ours
    beams = lm.samples("the", num_return_sequences=2, num_beams=3, max_tokens=5)
    assert len(beams) == 2
    with pytest.raises(UsageError, match="same option"):
        lm.generate("the", max_tokens=1, max_new_tokens=1)
    with pytest.raises(UsageError, match="unknown"):
        generator_keywords({"temprature": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("max_tokens", each) for each in ("5", 1.5, True, None)],
        *[("seed", each) for each in ("1", 1.5, True)],
        *[("temperature", each) for each in ("x", [1], True)],
        *[("top_k", each) for each in ("3", 2.5)],
        *[("beams", each) for each in ("3", 2.5)],
        *[("regex", each) for each in (5, ["a"])],
        *[("logit_bias", each) for each in (5, {"x": 1})],
    ],
    ids=repr,
)
def test_a_value_of_a_wrong_type_is_refused_by_its_name(name, value):
    with pytest.raises(UsageError, match=name):
        generator_keywords({name: value})


@pytest.mark.parametrize(
    "given",
    [
        *({"beams": 3, name: 2} for name in ("temperature", "top_k", "min_tokens")),
        *({"num_beams": 1, name: 2} for name in ("no_repeat_ngram_size", "repetition_penalty")),
        *({"beams": 2, "logit_bias": {1: 2.0}}, {"length_penalty": 2.0}),
    ],
    ids=repr,
)
def test_options_that_would_count_for_nothing_are_refused(given):
    with pytest.raises(UsageError, match="for beams"):
        generator_keywords(given)


def test_a_search_leaves_a_models_defaults_of_drawing_aside(model):
    configure(model, temperature=0.5, top_k=3, repetition_penalty=1.2)
    neutral = {"temperature": 0, "top_k": 0, "top_p": 1.0, "logit_bias": None, "seed": 1}
    made = generator_keywords(neutral | {"beams": 3, "regex": "a*"}, read_defaults(model))
    assert made["beams"].beams == 3 and made["options"].greedy.regex == "a*"


def test_numbers_of_numpy_are_numbers():
    given = {"top_k": np.int64(3), "temperature": np.float32(0.5), "max_tokens": np.int32(4)}
    made = generator_keywords(given | {"logit_bias": {np.int64(1): np.float32(2)}})
    assert made["max_tokens"] == 4
    assert made["options"].only is None and made["options"].logit_bias == ((1, 2.0),)
    assert (made["options"].top_k, made["options"].temperature) == (3, 0.5)


def test_the_command_constrains_and_searches(trained, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("cat\ndog\n\n")

    def samples(*words):
        assert main(["generate", str(trained), "the ", *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)["samples"]

    for one in samples("--words", str(tmp_path / "words.txt"), "-n", "5"):
        assert one["text"].strip() in ("cat", "dog") and one["stopped_by"] == "match"
    assert samples("--regex", "[0-9]{3}")[0]["text"].isdigit()
    assert samples("--prefix", "zebra", "--max-tokens", "20")[0]["text"].startswith("zebra")
    assert len(samples("--beams", "3", "-n", "3", "--max-tokens", "5")) == 3
    for words in (["--regex", "("], ["--regex", "a", "--prefix", "b"], ["--beams", "-1"]):
        assert main(["generate", str(trained), "x", *words]) == 2
    (tmp_path / "empty.txt").write_text("\n")
    assert main(["generate", str(trained), "x", "--words", str(tmp_path / "empty.txt")]) == 3


def test_one_text_is_asked_of_what_gives_one(model):
    lm = charlm.load(model)
    for ask in (lm.generate, lambda *a, **k: list(lm.stream(*a, **k))):
        assert ask("the ", n=1, max_tokens=2, seed=1)
        with pytest.raises(UsageError, match="samples"):
            ask("the ", n=2)


@pytest.mark.parametrize("prompt", ["the ", "the\n", "the"])
def test_a_word_comes_after_one_blank(model, prompt):
    lm = charlm.load(model)
    for seed in range(8):
        text = lm.generate(prompt, words=["cat", "hat"], seed=seed, max_tokens=20)
        assert text.strip() in ("cat", "hat")
        assert text == text.strip() or not prompt[-1].isspace()


def test_what_has_no_sense_is_told_by_name(model):
    lm = charlm.load(model)
    for ask, match in (
        (lambda: charlm.load(3), "named by its directory"),
        (lambda: charlm.load(""), "named by its directory"),
        (lambda: charlm.load(model, threads=0), "threads"),
        (lambda: lm.generate("a", stop=5), "stop"),
        (lambda: lm.generate("a", stop=[5]), "stop"),
        (lambda: lm.decompress(5), "bytes"),
        (lambda: charlm.train(minutes="x"), "minutes"),
    ):
        with pytest.raises(UsageError, match=match):
            ask()


@pytest.mark.parametrize("count", ["1", "2"])
def test_a_text_that_is_cut_off_before_it_matches_is_told(model, capsys, count):
    pytest.importorskip("regex")
    words = ["generate", str(model), "Tel. ", "--regex", "[0-9]{3}", "-n", count, "--seed", "1"]
    assert main([*words, "--max-tokens", "2"]) == 0
    assert "not complete" in capsys.readouterr().err
    assert main(words) == 0
    assert "not complete" not in capsys.readouterr().err
