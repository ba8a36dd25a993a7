"""The training text of a model is found again, indexed once, and never taken for another."""

import json
import os
import shutil
from pathlib import Path

import pytest

import charlm
from charlm import storage
from charlm.errors import CorpusError, ModelError, UsageError
from charlm.generation import text_index
from charlm.language import training_text
from charlm.text.finding import open_corpus
from charlm.text.preparation import TokenizerChoice, prepare

OPTIONS = {"steps": 3, "hidden": 8, "embed": 8, "batch": 4, "bptt": 16, "threads": 1}
LEARNED = "".join(f"sentence number {n} of the book\n" for n in range(200))
HELD_OUT = "".join(f"verse {n} was never learned\n" for n in range(25))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train a model on a text whose last tenth, which is held out, is of another kind."""
    folder = tmp_path_factory.mktemp("novelty")
    cache = str(tmp_path_factory.mktemp("cache"))
    (folder / "book.txt").write_text(LEARNED + HELD_OUT)
    before = os.environ.get("CHARLM_CACHE")
    os.environ["CHARLM_CACHE"] = cache
    try:
        charlm.train(folder / "book.txt", out=str(folder / "run"), **OPTIONS)
    finally:
        os.environ["CHARLM_CACHE"] = before or ""
    return folder, Path(cache)


@pytest.fixture
def book(trained, tmp_path, monkeypatch):
    """Give a folder with the book, its model and its cache, all of them the test's own."""
    folder, cache = trained
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    shutil.copytree(cache, tmp_path / "cache")
    monkeypatch.setenv("CHARLM_CACHE", str(tmp_path / "cache"))
    return tmp_path


def load(book):
    return charlm.load(book / "run")


def no_cache(book):
    shutil.rmtree(book / "cache")


def index_of(book):
    (directory,) = (book / "cache").glob("index-*")
    return directory


def test_a_planted_copy_is_found_in_the_text_that_the_run_prepared(book):
    planted = LEARNED[1000:1200]
    copy = load(book).copied("¿" + planted + "¿")
    assert (copy.characters, copy.text, copy.offset) == (200, planted, 1000)


def test_held_out_text_is_no_training_text(book):
    assert load(book).copied("verse 7 was never").characters < 10
    assert load(book).copied(LEARNED[2000:2040]).characters == 40


def test_the_index_is_made_once_and_told(book):
    lines = []
    model = load(book)
    model.find_training_text(tell=lines.append)
    assert lines == [f"indexing {model.text_index.size - 1:,} bytes of training text, once"]
    assert load(book).copied(LEARNED[:100]).characters == 100
    made = index_of(book).stat().st_ino
    shutil.rmtree(next(p for p in (book / "cache").iterdir() if not p.name.startswith("index")))
    lines.clear()
    model = load(book)
    model.find_training_text(tell=lines.append)
    assert lines == [] and model.copied(LEARNED[:100]).characters == 100
    assert index_of(book).stat().st_ino == made


@pytest.mark.parametrize("name", ["text.bin", "order.bin", "index.json", storage.MANIFEST])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_index_is_made_anew(book, name, damage):
    load(book).copied("a")
    path = index_of(book) / name
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-2] if damage == "cut" else b"\x7f" + data[1:])
    assert load(book).copied(LEARNED[50:150]).characters == 100
    assert path.read_bytes() == data


def test_who_is_interrupted_while_indexing_leaves_nothing(book, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(text_index, "sort_suffixes", interrupt)
        with pytest.raises(KeyboardInterrupt):
            load(book).copied("a")
    assert len([*(book / "cache").iterdir()]) == 1
    assert load(book).copied(LEARNED[50:150]).characters == 100


def test_a_prepared_directory_is_found_by_its_name(book):
    with open_corpus([str(book / "book.txt")]) as corpus:
        prepare(corpus, TokenizerChoice("char"), book / "store")
    charlm.train(book / "store", out=str(book / "other"), **OPTIONS)
    no_cache(book)
    assert charlm.load(book / "other").copied(LEARNED[50:150]).characters == 100


def trained_here(book, **options):
    charlm.train(book / "book.txt", out=str(book / "other"), **options, **OPTIONS)
    no_cache(book)
    return charlm.load(book / "other")


@pytest.mark.parametrize("options", [{}, {"tokenizer": "bpe", "vocab_size": 270}, {"valid": True}])
def test_a_text_that_is_where_the_run_had_it_is_prepared_again(book, options):
    if "valid" in options:
        options = {"valid": str(book / "book.txt")}
    model, lines = trained_here(book, **options), []
    model.find_training_text(tell=lines.append)
    assert any(line.startswith("prepared ") for line in lines)
    assert model.copied(LEARNED[50:150]).characters == 100
    held_out = model.copied("verse 7 was never learned").characters
    assert held_out == 25 if "valid" in options else held_out < 10


def test_a_text_that_has_changed_since_is_not_taken(book):
    model, lines = trained_here(book), []
    text = (book / "book.txt").read_text()
    (book / "book.txt").write_text(text.replace("number 7 ", "numbra 7 "))
    with pytest.raises(UsageError, match=r"book\.txt is not, or no longer"):
        model.find_training_text(tell=lines.append)
    assert lines[-1].endswith("has changed since the model learned from it")


@pytest.mark.parametrize("without", ["text", "standard input", "record", "sound record"])
def test_without_the_text_the_user_is_asked_for_it(book, without):
    model, record = trained_here(book), book / "other" / "run.json"
    if without == "text":
        (book / "book.txt").unlink()
    elif without == "record":
        record.unlink()
    else:
        facts = json.loads(record.read_text())
        facts |= {"paths": ["-"]} if without == "standard input" else {"format": 77}
        record.write_text(json.dumps(facts))
    with pytest.raises(UsageError, match=r"book\.txt is not, or no longer") as caught:
        model.copied("a")
    assert "--training-text FILE" in caught.value.hint
    with pytest.raises(UsageError):
        model.generate("s", max_copy=5)


@pytest.mark.parametrize("options", [{}, {"tokenizer": "word", "unknown": "unk"}, {"valid": True}])
def test_the_text_can_be_given_again_and_is_known_to_be_the_same(book, options):
    if options.pop("valid", False):
        (book / "valid.txt").write_text(HELD_OUT)
        options["valid"] = str(book / "valid.txt")
    charlm.train(book / "book.txt", out=str(book / "other"), **options, **OPTIONS)
    no_cache(book)
    (book / "valid.txt").unlink(missing_ok=True)
    (book / "book.txt").rename(book / "moved.txt")
    model, lines = charlm.load(book / "other"), []
    model.find_training_text(book / "moved.txt", lines.append)
    assert lines == ["indexing " + lines[0].split()[1] + " bytes of training text, once"]
    assert model.copied("number 7 of the book").characters == 20
    held_out = model.copied("\nverse 7 was never learned").characters
    assert held_out == 26 if "valid" in options else held_out < 20


def test_another_text_is_refused(book):
    (book / "book.txt").write_text(LEARNED * 2)
    with pytest.raises(CorpusError, match="is not the text that the model learned from") as caught:
        load(book).find_training_text(book / "book.txt")
    assert "book.txt" in caught.value.hint


def test_a_text_of_the_same_size_is_taken_with_a_warning(book):
    text = (book / "book.txt").read_text()
    (book / "book.txt").write_text(text.replace("number 7 ", "numbra 7 "))
    lines, model = [], load(book)
    model.find_training_text(book / "book.txt", lines.append)
    assert any(line.startswith("warning: ") for line in lines)
    assert model.copied("numbra 7").characters == 8


def test_an_older_model_takes_a_text_of_its_size(book):
    path = book / "run" / "config.json"
    config = json.loads(path.read_text())
    del config["run"]["train_sha256"]
    model = load(book)
    model.config = config
    with pytest.raises(UsageError, match="not at hand"):
        model.copied("a")
    model.find_training_text(book / "book.txt")
    assert model.copied(LEARNED[:50]).characters == 50


@pytest.mark.parametrize(
    "change",
    [{"train_sha256": 7}, {"train_bytes": None}, {"corpus": []}, {"request": {"nonsense": 1}}],
)
def test_a_configuration_without_sense_is_refused(book, change):
    model = load(book)
    model.config["run"] |= change
    with pytest.raises(ModelError):
        model.find_training_text(book / "book.txt")


def test_of_a_text_that_is_too_long_the_end_is_indexed_and_that_is_told(book, monkeypatch):
    monkeypatch.setattr(training_text, "MOST_BYTES", 3000)
    monkeypatch.setattr(training_text, "decoded", lambda *rest: decoded(*rest, chunk=100))
    from charlm.text.decoding import decoded

    lines, model = [], load(book)
    model.find_training_text(tell=lines.append)
    assert "only the last 3,0" in lines[-1] or "only the last 2,9" in lines[-1]
    train_bytes = model.config["run"]["train_bytes"]
    copy = model.copied("¿" + LEARNED[train_bytes - 100 : train_bytes - 50])
    assert copy.characters == 50 and model.copied(LEARNED[:100]).characters < 100
    assert copy.offset == (LEARNED + HELD_OUT).find(copy.text)


def test_samples_of_a_model_obey_the_limit(book):
    model = load(book)
    for sample in model.samples("sen", 5, max_tokens=60, seed=1, temperature=0.2, max_copy=6):
        assert model.copied(sample.text).characters <= 6
