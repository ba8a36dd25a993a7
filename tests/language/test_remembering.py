"""What a model remembers of a text, kept in a file: as if it had read the text just now."""

import json

import numpy as np
import pytest
import safetensors.numpy

import charlm
from charlm.cli.main import main
from charlm.errors import CharlmError, DiskError, ModelError, UsageError
from charlm.language.combination import ADAPTING, NAMES
from charlm.language.memory import COUNTS, IDS, KEYS, MODEL, TOKENS, read_on
from charlm.predict.cache import SIZE

SENTENCES = ["the cat sat on the mat", "a dog ate the old bone", "we saw no cat by the log"]
CELLS = ["lstm", "gru"]


def text(length, seed=1):
    random = np.random.default_rng(seed)
    return "\n".join(SENTENCES[k] for k in random.integers(3, size=length // 23)) + "\nthe "


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    (folder / "book.txt").write_text(text(20_000))
    options = {"steps": 30, "hidden": 16, "embed": 8, "batch": 8, "bptt": 16, "threads": 1}
    for cell in CELLS:
        out = str(folder / cell)
        charlm.train(folder / "book.txt", out=out, tokenizer="char", cell=cell, **options)
    return folder


@pytest.fixture
def command(capsys):
    def run(*words):
        code = main([str(word) for word in words])
        return (code, *capsys.readouterr())

    return run


def after(lm, prompt):
    """Give log p of what comes after a prompt read now, by the model's predictor."""
    ids = lm.tokenizer.encode(prompt)[None]
    _, state = lm.predictor.score(ids, lm.predictor.start(1))
    return lm.predictor.prediction(state).log_probs()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cell", CELLS)
def test_every_predictor_goes_on_as_if_it_had_read_the_text_itself(models, tmp_path, name, cell):
    story, more = text(2_300, 2), "cat"
    read = charlm.load(models / cell, threads=1).read(story)
    read.save(tmp_path / "state")
    for state in (read, tmp_path / "state"):
        lm = charlm.load(models / cell, threads=1, predictor=name, state=state)
        whole = charlm.load(models / cell, threads=1, predictor=name)
        np.testing.assert_allclose(after(lm, more), after(whole, story + more), atol=1e-4)
        assert lm.generate(more, max_tokens=30, seed=1) == whole.generate(
            story + more, max_tokens=30, seed=1
        )
        here, there = lm.suggest(more), whole.suggest(story + more)
        assert [each.word for each in here] == [each.word for each in there]


def test_an_evaluation_goes_on_from_it(models):
    first, rest = text(4_000, 3), text(700, 4)
    lm = charlm.load(models / "lstm", threads=1)
    name = NAMES[-1]
    whole, start = (lm.evaluate(each, predictor=name) for each in (first + rest, first))
    lm = charlm.load(models / "lstm", threads=1, state=lm.read(first))
    going_on = lm.evaluate(rest, predictor=name)
    for each in NAMES:
        wanted = whole.by_predictor[each].nats - start.by_predictor[each].nats
        assert going_on.by_predictor[each].nats == pytest.approx(wanted, rel=2e-4)
    assert lm.score("the cat") == pytest.approx(lm.evaluate("the cat").nats, rel=1e-4)


def test_a_text_may_be_read_in_parts(models):
    first, rest = text(3_000, 5), text(900, 6)
    lm = charlm.load(models / "lstm", threads=1)
    whole = lm.read(first + rest)
    parts = charlm.load(models / "lstm", threads=1, state=lm.read(first)).read(rest)
    assert parts.tokens == whole.tokens == len(first) + len(rest)
    for one, other in zip(parts.network, whole.network, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    np.testing.assert_array_equal(parts.counts, whole.counts)
    np.testing.assert_array_equal(parts.places.ids, whole.places.ids)


def test_the_file_has_one_size_however_long_the_text(models, tmp_path):
    lm = charlm.load(models / "lstm", threads=1)
    sizes = set()
    for length in (3_000, 12_000):
        lm.read(text(length)).save(tmp_path / "state")
        sizes.add((tmp_path / "state").stat().st_size)
        arrays = safetensors.numpy.load((tmp_path / "state").read_bytes())
        assert arrays[IDS].shape == (1, SIZE) and arrays[TOKENS].tolist() == [len(text(length))]
    assert len(sizes) == 1


@pytest.mark.parametrize("name", ADAPTING)
def test_the_weights_that_a_model_adapted_to_are_kept(models, tmp_path, name):
    story = "Zwei Katzen jagen drei Hunde. " * 20
    adapts = charlm.load(models / "lstm", threads=1, predictor=name)
    adapts.read(story).save(tmp_path / "state")
    lm = charlm.load(models / "lstm", threads=1, state=tmp_path / "state")
    still = charlm.load(models / "lstm", threads=1)
    going_on = charlm.load(models / "lstm", threads=1, state=still.read(story))
    assert lm.evaluate("Zwei Katzen").nats < going_on.evaluate("Zwei Katzen").nats - 1
    moved = lm.parts.reader.network.embedding.detach().numpy()
    kept = still.parts.reader.network.embedding.detach().numpy()
    assert (moved != kept).any()
    np.testing.assert_array_equal(lm.network._embedding, moved)
    more = charlm.load(models / "lstm", threads=1, predictor=name, state=tmp_path / "state")
    again = more.evaluate(story, predictor=name).by_predictor
    assert again["network+adapt"].nats < again["network"].nats


def test_the_state_of_another_model_is_refused(models, tmp_path):
    charlm.load(models / "lstm", threads=1).read("the cat").save(tmp_path / "state")
    memory = charlm.load(models / "lstm", threads=1).read("the cat")
    for state in (tmp_path / "state", memory):
        with pytest.raises(ModelError, match="not a state of this model") as caught:
            charlm.load(models / "gru", state=state)
        assert "gru read the text anew" in caught.value.hint


def test_a_memory_shows_itself_in_a_line(models):
    shown = repr(charlm.load(models / "lstm", threads=1).read("the cat"))
    assert shown.startswith("Memory(7 tokens, by model ") and len(shown) < 60


def test_a_text_or_a_path_is_read(models):
    lm = charlm.load(models / "lstm", threads=1)
    with pytest.raises(UsageError):
        lm.read()
    with pytest.raises(UsageError):
        lm.read("a", path="b")


DAMAGES = {
    "of another width": lambda a: a | {"network.0": np.zeros((1, 3), np.float32)},
    "without an output": lambda a: {k: v for k, v in a.items() if k != "network.2"},
    "of no stream": lambda a: a | {IDS: a[IDS][:0], KEYS: a[KEYS][:0]},
    "of huge numbers": lambda a: a | {"network.1": a["network.1"] + np.float32(3e38)},
    "of fewer than no tokens": lambda a: a | {TOKENS: -a[TOKENS]},
    "of NaN": lambda a: a | {"network.1": a["network.1"] * np.nan},
    "with ids that are none": lambda a: a | {IDS: a[IDS] + 10**6},
    "with fewer ids": lambda a: a | {IDS: a[IDS][:, 1:]},
    "of other counts": lambda a: a | {COUNTS: a[COUNTS] + 10**9},
    "without counts": lambda a: {k: v for k, v in a.items() if k != COUNTS},
    "of another type": lambda a: a | {KEYS: a[KEYS].astype(np.float64)},
    "with more than belongs": lambda a: a | {"more": np.zeros(1)},
    "with one weight": lambda a: a | {"weights.embedding": np.zeros((3, 3), np.float32)},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_refused(models, tmp_path, damage):
    lm = charlm.load(models / "lstm", threads=1)
    lm.read("the cat sat").save(tmp_path / "state")
    arrays = safetensors.numpy.load((tmp_path / "state").read_bytes())
    assert arrays[MODEL].shape == (32,)
    damaged = {n: np.ascontiguousarray(a) for n, a in DAMAGES[damage](dict(arrays)).items()}
    (tmp_path / "state").write_bytes(safetensors.numpy.save(damaged))
    with pytest.raises(ModelError, match="is damaged"):
        charlm.load(models / "lstm", state=tmp_path / "state")


def test_whatever_bit_is_flipped_nothing_but_an_error_comes_of_it(models, tmp_path):
    lm = charlm.load(models / "lstm", threads=1)
    lm.read("the cat sat").save(tmp_path / "state")
    whole, refused = (tmp_path / "state").read_bytes(), 0
    random = np.random.default_rng(0)
    for place in random.integers(min(len(whole), 900), size=60):
        data = bytearray(whole)
        data[place] ^= 1 << int(random.integers(8))
        (tmp_path / "flipped").write_bytes(bytes(data))
        try:
            charlm.load(models / "lstm", state=tmp_path / "flipped")
        except CharlmError:
            refused += 1
    assert refused > 30


def test_the_commands(command, models, tmp_path):
    (tmp_path / "story.txt").write_text(text(2_500, 7))
    model, state = models / "lstm", tmp_path / "state"
    code, out, err = command("read", model, tmp_path / "story.txt", "--save-state", state, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["tokens"] == len(text(2_500, 7)) and told["bytes"] == state.stat().st_size
    options = ["--max-tokens", "20", "--seed", "1"]
    _, here, _ = command("generate", model, "--state", state, *options)
    _, whole, _ = command("generate", model, f"@{tmp_path / 'story.txt'}", *options)
    assert whole.endswith(here) and len(here) > 5
    assert command("suggest", model, "c", "--state", state)[1]
    assert command("eval", model, "--state", state, "--json")[0] == 0


def test_a_state_of_nothing_is_the_beginning(models, tmp_path):
    name = "network+counts+cache"
    lm = charlm.load(models / "lstm", predictor=name, threads=1)
    read_on(lm.parts, [], adapts=False).save(tmp_path / "state")  # as of an empty file once
    again = charlm.load(models / "lstm", predictor=name, threads=1, state=tmp_path / "state")
    for each in (lm, again):
        prediction, _ = each.predictor.step(np.array([3]), each.predictor.start(1))
        assert np.isfinite(prediction.of(np.array([5]))).all()
    np.testing.assert_allclose(after(again, "the cat"), after(lm, "the cat"), atol=1e-5)


def test_what_is_odd_in_a_text_is_told_and_one_without_anything_is_refused(
    command, models, tmp_path
):
    odd, empty, state = tmp_path / "odd", tmp_path / "empty", tmp_path / "state"
    odd.write_bytes(b"the cat sat on the mat\n" * 100 + b"a cat\xe9\n")
    empty.write_text("")
    code, _, err = command("read", models / "lstm", odd, "--save-state", state)
    assert code == 0 and "1 invalid bytes became U+FFFD" in err and "line 101, byte" in err
    for words in ([], ["--state", state]):
        code, _, err = command("read", models / "lstm", empty, "--save-state", state, *words)
        assert code == 3 and "there is no text in" in err
    assert command("generate", models / "lstm", "--state", state)[0] == 0  # it stays as it was


def test_mistakes_are_told(command, models, tmp_path):
    (tmp_path / "story.txt").write_text("the cat")
    story, missing = tmp_path / "story.txt", tmp_path / "no" / "folder" / "state"
    model = models / "lstm"
    code, _, err = command("read", model, story)
    assert code == 2 and "--save-state" in err
    assert command("generate", model, "--state", missing)[0] == 4
    assert command("read", model, missing, "--save-state", "s")[0] == 3
    assert command("read", model, story, "--save-state", story)[0] == 2
    assert story.read_text() == "the cat"
    (tmp_path / "file").write_text("")
    assert command("read", model, story, "--save-state", tmp_path / "file")[0] == 2
    assert (tmp_path / "file").read_text() == ""
    for state in (tmp_path / "file" / "state", missing):
        code, _, err = command("read", model, tmp_path / "none", "--save-state", state)
        assert code == 5 and "there is no directory" in err  # before anything is read
    with pytest.raises(DiskError):
        charlm.load(model, threads=1).read("the cat").save(missing)
    assert not (tmp_path / "no").exists()
    for none in (story, tmp_path / "file", tmp_path, model / "model.safetensors"):
        code, _, err = command("generate", model, "--state", none)
        assert code == 4 and f"{none} is no state, or a damaged one\nhint: charlm read" in err
