"""The main job: text in, a model directory out, its scores and its words back."""

import json
import math

import numpy as np
import pytest
import tokenizers

import charlm
from charlm import storage
from charlm.errors import CorpusError, DivergedError, ModelError, UsageError
from charlm.evaluation import scoring
from charlm.language.fit import fit
from charlm.language.request import TrainRequest
from charlm.training import trainer as trainer_module

SMALL = {"hidden": 24, "embed": 12, "batch": 8, "bptt": 16, "lr": 0.01, "threads": 1}


def run(text_file, tmp_path, **options):
    options = {"steps": 40, "out": str(tmp_path / "run")} | SMALL | options
    return fit([str(text_file)], TrainRequest(**options))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Train one small character model for the tests that only look at it."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "book.txt").write_text("the cat sat on the mat and the dog sat too\n" * 60)
    return charlm.train(folder / "book.txt", out=str(folder / "run"), steps=300, **SMALL)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("kind", ["byte", "char", "word", "bpe"])
def test_every_tokenizer_and_cell_trains_evaluates_and_generates(text_file, tmp_path, kind, cell):
    result = run(text_file, tmp_path, tokenizer=kind, cell=cell, vocab_size=None)
    held_out = result.held_out
    text = text_file.read_text()
    assert held_out.bytes == len(text) - int(len(text) * 0.9)
    again = charlm.load(tmp_path / "run").evaluate()
    assert again.nats == pytest.approx(held_out.nats, rel=1e-6)
    model = result.model
    assert model.score("Zoë 🎉") > 0
    assert isinstance(model.generate("Zoë ", max_tokens=5, seed=1), str)
    assert len(model.suggest("the c", k=3)) <= 3


def test_a_text_without_spaces_trains(tmp_path):
    letters = np.random.default_rng(0).integers(0x4E00, 0x4E40, size=(20, 400))
    text = tmp_path / "text.txt"
    text.write_text("".join("".join(map(chr, line)) + "\n" for line in letters.tolist()))
    result = run(text, tmp_path, steps=2)
    assert result.held_out.word_perplexity == math.inf  # a line, one word, costs 1,600 nats
    assert charlm.load(tmp_path / "run").config["held_out"]["word_perplexity"] is None
    assert "word perplexity" not in (tmp_path / "run" / "README.md").read_text()


def test_the_closed_form_trains_and_has_word_perplexity_alone(text_file, tmp_path):
    result = run(text_file, tmp_path, tokenizer="word", unknown="unk")
    assert result.held_out.bits_per_byte is None and not result.held_out.lossless
    assert result.held_out.word_perplexity == pytest.approx(
        math.exp(result.held_out.nats / result.held_out.tokens)
    )


def test_bytes_are_the_same_for_every_tokenizer(text_file, tmp_path):
    sizes = set()
    for kind in ("byte", "char", "bpe"):
        model = run(text_file, tmp_path, tokenizer=kind, force=True, steps=2).model
        sizes.add(model.evaluate("Any text at all, né?\n").bytes)
    assert sizes == {len("Any text at all, né?\n".encode())}


def test_steps_and_seed_decide_the_weights(text_file, tmp_path):
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(text_file, tmp_path, out=str(tmp_path / name), seed=seed, dropout=0.2)
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]
    logs = [(tmp_path / name / "metrics.jsonl").read_text() for name in "ab"]
    assert logs[0] == logs[1] and "validation_nats" in logs[0]


@pytest.mark.parametrize("documents", ["line", "blank"])
@pytest.mark.parametrize("batches", ["streams", "padded"])
def test_documents_can_be_read_apart(text_file, tmp_path, documents, batches):
    result = run(text_file, tmp_path, documents=documents, batches=batches, reset_at_documents=True)
    assert result.held_out.documents > 1


def test_minutes_are_kept(text_file, tmp_path):
    result = run(text_file, tmp_path, steps=None, minutes=0.06)
    assert 3.0 < result.state.seconds < 3.6 + 3


def test_a_score_cut_short_is_said(text_file, tmp_path, monkeypatch):
    whole = run(text_file, tmp_path, out=str(tmp_path / "whole"))
    assert whole.cut == 0 and "left" not in whole.summary()
    monkeypatch.setattr(scoring, "SHORT", 10)
    monkeypatch.setattr(scoring, "CHUNK", 50)
    clock = iter(range(10**6))
    monkeypatch.setattr(scoring.time, "monotonic", lambda: next(clock))
    short = run(text_file, tmp_path, steps=None, minutes=0.02)
    assert 0 < short.held_out.bytes < whole.held_out.bytes
    assert short.cut == whole.held_out.bytes - short.held_out.bytes
    assert f"{short.cut:,} bytes" in short.summary()
    assert charlm.load(tmp_path / "run").evaluate().bytes == whole.held_out.bytes


def test_the_directory_is_what_the_contract_says(model):
    names = {path.name for path in model.directory.iterdir()}
    assert names >= {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "generation_config.json", "README.md", "MANIFEST.json", "metrics.jsonl", "timings.jsonl",
    }  # fmt: skip
    storage.verify(model.directory, ModelError, contents=True)
    config = json.loads((model.directory / "config.json").read_text())
    assert config["model_type"] == "charlm" and config["charlm_format"] == 1
    library = tokenizers.Tokenizer.from_file(str(model.directory / "tokenizer.json"))
    assert library.encode("the cat").ids == model.tokenizer.encode("the cat").tolist()
    assert (
        f"{model.config['held_out']['bits_per_byte']:.3f}"
        in (model.directory / "README.md").read_text()
    )


def test_the_model_learned_its_text(model):
    assert model.evaluate("the cat sat on the mat\n").bits_per_byte < 2
    assert "the" in [suggestion.word for suggestion in model.suggest("sat on ", k=3)]
    words = model.generate("the ", max_tokens=200, temperature=0.5, seed=1).split()
    known = ["the", "cat", "sat", "on", "mat", "and", "dog", "too"]
    assert sum(word in known for word in words) > len(words) / 2


def test_streamed_generated_and_sampled_text_are_the_same(model):
    options = {"max_tokens": 30, "seed": 5, "temperature": 0.9}
    text = model.generate("the ", **options)
    assert "".join(model.stream("the ", **options)) == text
    assert model.samples("the ", count=3, **options)[0].text == text
    assert model.generate("the ", **options, stop="t").count("t") == 0


def test_evaluating_files_text_and_bytes_agree(model, tmp_path):
    text = "the cat sat on the mat\nand the dog\n"
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "b.txt").write_text(text)
    one, two = model.evaluate(text), model.evaluate(path=tmp_path / "a.txt")
    assert one == two
    both = model.evaluate(path=[tmp_path / "a.txt", tmp_path / "b.txt"])
    assert both.nats == pytest.approx(2 * one.nats) and both.documents == 2
    assert model.score(text) == pytest.approx(one.nats)
    assert (one.words, one.lines, one.tokens) == (9, 2, len(text))


def test_a_score_is_the_sum_over_every_token_by_hand(model):
    text = "the cat sat"
    ids, predictor = model.tokenizer.encode(text), model.network
    prediction, state = predictor.prediction(predictor.start(1)), predictor.start(1)
    total = 0.0
    for token in ids:
        total -= float(prediction.of(np.array([token]))[0])
        prediction, state = predictor.step(np.array([token]), state)
    assert model.score(text) == pytest.approx(total, rel=1e-5)


def damage(name, change):
    def apply(directory):
        path = directory / name
        path.write_bytes(change(path.read_bytes()))
        entry = {"size": path.stat().st_size, "sha256": storage.file_sha256(path)}
        manifest = json.loads((directory / "MANIFEST.json").read_text())
        manifest["files"][name] = entry
        (directory / "MANIFEST.json").write_text(json.dumps(manifest))

    return apply


def edit(name, **values):
    def change(data):
        return json.dumps(json.loads(data) | values).encode()

    return damage(name, change)


BAD = {
    "no manifest": lambda d: (d / "MANIFEST.json").unlink(),
    "a file missing": lambda d: (d / "tokenizer.json").unlink(),
    "weights cut short": lambda d: (d / "model.safetensors").write_bytes(b"short"),
    "weights of something else": damage("model.safetensors", lambda b: b"\x80\x04pickle" * 9999),
    "weights with a mad header": damage("model.safetensors", lambda b: b"\xff" * 8 + b[8:]),
    "weights with NaN": damage(
        "model.safetensors", lambda b: b[:-4] + np.array([np.nan], "<f4").tobytes()
    ),
    "another shape": edit(
        "config.json", network={"vocab_size": 270, "embed_size": 9, "hidden_size": 9}
    ),
    "a giant shape": edit(
        "config.json", network={"vocab_size": 10**9, "embed_size": 10**9, "hidden_size": 10**9}
    ),
    "an unknown option": edit("config.json", network={"vocab": 3}),
    "a newer format": edit("config.json", charlm_format=99),
    "another's model": edit("config.json", model_type="gpt2"),
    "config that is no JSON": damage("config.json", lambda b: b"{"),
    "config that is a list": damage("config.json", lambda b: b"[]"),
    "a bad boundary": edit("config.json", boundary_id=-1),
    "another tokenizer": edit("config.json", tokenizer_sha256="0" * 64),
}


@pytest.mark.parametrize("name", BAD)
def test_a_damaged_model_is_refused(model, tmp_path, name):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(model.directory, copy)
    BAD[name](copy)
    with pytest.raises(ModelError):
        charlm.load(copy).score("the cat")


def test_what_is_not_a_model_is_refused(tmp_path, text_file):
    for path in (tmp_path / "nothing", tmp_path, text_file):
        with pytest.raises(ModelError):
            charlm.load(path)


def test_a_run_is_not_overwritten_unless_forced(text_file, tmp_path):
    run(text_file, tmp_path, steps=2)
    with pytest.raises(UsageError, match="already there"):
        run(text_file, tmp_path, steps=2)
    run(text_file, tmp_path, steps=3, force=True)
    assert charlm.load(tmp_path / "run").config["run"]["steps"] == 3
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="not a run"):
        run(text_file, tmp_path, out=str(tmp_path / "precious"), force=True)


def test_a_failed_run_gives_the_old_one_back(text_file, tmp_path, monkeypatch):
    run(text_file, tmp_path, steps=2)

    def diverge(*arguments):
        raise DivergedError("no")

    monkeypatch.setattr(trainer_module.Trainer, "train_step", diverge)
    with pytest.raises(DivergedError):
        run(text_file, tmp_path, steps=3, force=True)
    assert charlm.load(tmp_path / "run").config["run"]["steps"] == 2


def test_tiny_corpora_train_and_say_that_nothing_is_held_out(tmp_path):
    for name, text in (("one", "x"), ("four", "a b\nc\nd\ne\n")):
        (tmp_path / f"{name}.txt").write_text(text)
        result = run(tmp_path / f"{name}.txt", tmp_path, out=str(tmp_path / name), steps=3)
        assert result.held_out is None and "too small" in result.summary()
        with pytest.raises(UsageError, match="no held-out text"):
            result.model.evaluate()


def test_nothing_to_evaluate_is_a_corpus_error(model, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(CorpusError, match="no text"):
        model.evaluate(path=tmp_path / "empty.txt")
    with pytest.raises(CorpusError, match="no text"):
        model.evaluate("")


def test_valid_and_test_files_are_used(text_file, tmp_path):
    (tmp_path / "valid.txt").write_text("The cat sat on the mat.\n" * 4)
    result = run(
        text_file, tmp_path, valid=str(tmp_path / "valid.txt"), test=str(tmp_path / "valid.txt")
    )
    assert result.held_out.bytes == 96
    assert result.test.nats == pytest.approx(result.held_out.nats, rel=1e-5)


def test_a_prepared_directory_is_a_corpus(text_file, tmp_path):
    from charlm.language.corpus import prepare_directory

    prepare_directory([str(text_file)], TrainRequest(), tmp_path / "store", tell=lambda line: None)
    result = run(tmp_path / "store", tmp_path, steps=5)
    assert result.held_out is not None
    with pytest.raises(UsageError, match="is prepared"):
        run(tmp_path / "store", tmp_path, tokenizer="byte", force=True)


def test_a_mistyped_option_is_named():
    with pytest.raises(UsageError, match="unknown option 'minute'"):
        charlm.train("x.txt", minute=2)


def test_mistyped_generation_options_are_named(model):
    with pytest.raises(UsageError, match="temprature") as caught:
        model.generate("x", temprature=1)
    assert caught.value.hint == "did you mean 'temperature'?"
