"""Counts and cache beside the network: kept with the model, tuned on the reserve, named."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
import safetensors.numpy

import charlm
from charlm import storage
from charlm.errors import ModelError, UsageError
from charlm.language.combination import (
    NAMES,
    PARTS,
    UNTUNED,
    Combination,
    check_name,
    combine,
    predictor_of,
    read_combination,
)
from charlm.language.counts import (
    COUNTS,
    TOKENS_PER_SECOND,
    Counted,
    Counting,
    count,
    plan_counting,
    read_counted,
    read_counts,
)
from charlm.language.directory import describe
from charlm.language.reserve import FEWEST, LARGEST_SHARE, MOST, TOO_FEW, divide
from charlm.predict.ngram import NgramPredictor
from charlm.text.store import COLUMNS, TokenPart
from tests.predict.laws import check_laws

SENTENCES = ["the cat sat on the mat", "a dog ate the old bone", "we saw no cat by the log"]
OPTIONS = {"steps": 30, "hidden": 16, "embed": 8, "batch": 8, "bptt": 16, "threads": 1}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("counted")
    random = np.random.default_rng(0)
    lines = [SENTENCES[k] for k in random.integers(len(SENTENCES), size=900)]
    (folder / "book.txt").write_text("\n".join(lines) + "\n")
    out = folder / "run"
    charlm.train(folder / "book.txt", out=str(out), tokenizer="char", **OPTIONS)
    return out


@pytest.fixture
def model(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "model")


def part_of(lengths):
    """Make a part of documents of so many ids each, boundaries (0) between them."""
    ids, positions = [0], [0]
    for number, length in enumerate(lengths, start=1):
        ids += [number] * (length - 1) + [0]
        positions.append(len(ids) - 1)
    documents = np.zeros((len(positions), len(COLUMNS)), dtype=np.int64)
    documents[:, 0] = positions
    documents[:-1, 5] = lengths
    return TokenPart(np.array(ids, dtype=np.uint16), documents)


@pytest.mark.parametrize(
    ("tokens", "reserve"),
    [
        (1_000, 0),
        (TOO_FEW * 20 - 20, 0),
        (20_000, 1_000),  # LARGEST_SHARE
        (100_000, FEWEST),
        (600_000, 6_000),
        (2_000_000, MOST),
    ],
)
def test_the_reserve_is_the_end_of_the_text(tokens, reserve):
    part = part_of([tokens // 2, tokens - tokens // 2])
    learned, kept = divide(part)
    assert len(kept) == reserve <= LARGEST_SHARE * tokens
    assert np.array_equal(np.concatenate([learned.ids, kept]), part.ids)
    assert learned.boundaries[-1] == len(learned.ids) - 1
    assert (
        learned.boundaries[:-1].tolist() == part.boundaries[: len(learned.boundaries) - 1].tolist()
    )


def test_a_reserve_that_is_whole_documents_leaves_whole_documents():
    part = part_of([50_000, 48_000, 2_000])
    learned, kept = divide(part)
    assert len(kept) == 2_000 and learned.boundaries.tolist() == [0, 50_000, 98_000]


def test_of_many_documents_the_table_is_not_copied():
    part = part_of([50] * 2_000)
    learned, kept = divide(part)
    assert len(kept) == 2_000 and learned.documents.base is part.documents
    learned, kept = divide(part_of([50] * 1_999 + [77]))
    assert 2_000 <= len(kept) < 2_100 and learned.boundaries[-1] == len(learned.ids) - 1


def test_training_records_what_was_best_and_every_score_shows_it(trained):
    lm = charlm.load(trained)
    found = lm.combination
    assert found.best in NAMES and found.reserve > 0
    assert set(found.nats_per_token) == set(NAMES) == set(found.weights) | {"network", "counts"}
    assert found.nats_per_token[found.best] < found.nats_per_token["network"]
    evaluation = lm.evaluate()
    assert list(evaluation.by_predictor) == ["network", "counts", "network+counts"]
    assert evaluation.predictor == "network"
    scores = evaluation.to_json()
    assert scores["nats"] == scores["by_predictor"]["network"]["nats"]
    best = lm.evaluate(predictor="best")
    assert best.predictor == found.best and best.nats < evaluation.nats
    assert best.nats == pytest.approx(evaluation.nats_by_predictor[found.best])
    assert json.loads(json.dumps(best.to_json()))["predictor"] == found.best


@pytest.mark.parametrize("name", NAMES)
def test_every_predictor_of_a_model_obeys_the_laws_and_gives_its_own_score(trained, name):
    lm = charlm.load(trained, predictor=name)
    ids = np.stack([lm.tokenizer.encode(text) for text in ("the cat sat on", "we saw the log")])
    check_laws(lm.predictor, ids, tolerance=5e-4)
    text = "the dog sat by the mat\n" * 30
    nats, _ = lm.predictor.score(lm.tokenizer.encode(text)[None], lm.predictor.start(1))
    evaluation = lm.evaluate(text, predictor=name)
    assert evaluation.nats == pytest.approx(float(nats.sum(dtype=float)), rel=1e-3)
    assert isinstance(lm.generate("the ", max_tokens=5, seed=1), str)
    assert lm.suggest("the ca", k=2)


def test_without_a_word_the_best_generates_and_suggests(trained):
    ours = charlm.load(trained)
    same = [charlm.load(trained, predictor=name) for name in ("best", ours.combination.best)]
    texts = {lm.generate("the ", max_tokens=30, seed=3) for lm in (ours, *same)}
    assert len(texts) == 1
    assert ours.suggest("the c") != charlm.load(trained, predictor="network").suggest("the c")


def test_the_parts_of_a_name_may_stand_in_any_order(trained):
    names = ("cache+counts+network", "network+counts+cache")
    one, other = (charlm.load(trained, predictor=name) for name in names)
    assert one.generate("a", max_tokens=20, seed=1) == other.generate("a", max_tokens=20, seed=1)


def test_the_counts_are_those_that_were_written(trained):
    lm = charlm.load(trained)
    assert isinstance(lm.parts.counts, NgramPredictor) and lm.parts.counts.order == 8
    assert lm.parts.counts.vocab_size == lm.tokenizer.vocab_size


def test_a_model_of_before_has_its_network_alone(model):
    config = json.loads((model / "config.json").read_text())
    del config["combination"]
    (model / COUNTS).unlink()
    rewrite(model, config)
    lm = charlm.load(model)
    assert list(lm.evaluate().by_predictor) == ["network"]
    assert lm.generate("the ", max_tokens=3, seed=1)
    with pytest.raises(UsageError, match="no counts"):
        charlm.load(model, predictor="counts")


def rewrite(model, config):
    """Write a configuration and a manifest that fits."""
    (model / storage.MANIFEST).unlink()
    with storage.existing_directory(model) as writer:
        for path in model.iterdir():
            if path.is_file() and path.name not in ("config.json", storage.MANIFEST):
                writer.write_bytes(path.name, path.read_bytes())
        writer.write_json("config.json", config)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("cuonts", "counts"), ("network+network", "network+"), ("cache", "there are"), ("", "there")],
)
def test_a_name_that_is_none_is_refused_with_what_there_is(trained, name, hint):
    with pytest.raises(UsageError) as error:
        charlm.load(trained, predictor=name)
    assert hint in error.value.hint


def test_no_part_of_a_mixture_is_ever_without_a_share(trained):
    lm = charlm.load(trained)
    found = combine(lm.parts.reader, lm.parts.counts, np.full(900, 5, dtype=np.uint16))
    for name in NAMES[2:]:
        assert min(share for share in found.row(name) if share) >= 0.004, name
    assert read_combination({"combination": asdict(found)}) == found
    predictor = predictor_of(found.best, lm.parts.reader, lm.parts.counts, found)
    ids = np.arange(lm.tokenizer.vocab_size)[None]
    assert np.isfinite(predictor.score(ids, predictor.start(1))[0]).all()


def test_where_there_is_little_time_less_of_the_reserve_is_read(trained):
    lm = charlm.load(trained)
    reserve = np.resize(lm.tokenizer.encode(SENTENCES[0]), 3_000)
    assert combine(lm.parts.reader, lm.parts.counts, reserve, seconds=1e-9).reserve < 1_000
    assert combine(lm.parts.reader, lm.parts.counts, reserve).reserve == 2_000


@pytest.mark.parametrize(
    "damage",
    [
        {"flatness": "2"},
        {"flatness": 10**400},
        {"flatness": True},
        {"nats_per_token": 5},
        {"reserve": "x"},
        {"weights": {"network+cache": [0.0, 1.0]}},
        {"best": "netwrok"},
        {"weights": {"network+counts": [0.5]}},
        {"weights": {"network+counts": [1.5, -0.5]}},
        {"weights": {"network+counts": ["a", "b"]}},
        {"weights": []},
        {"flatness": -1},
        {"flatness": None},
        {"surprise": 1},
    ],
)
def test_a_damaged_combination_is_refused(damage):
    with pytest.raises(ModelError):
        read_combination({"combination": asdict(Combination()) | damage})
    assert read_combination({"combination": asdict(Combination())}) == Combination()


def spoil(model, change):
    """Change the arrays of the counts."""
    arrays = safetensors.numpy.load_file(model / COUNTS)
    change(arrays)
    (model / COUNTS).write_bytes(safetensors.numpy.save(arrays))


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("2.keys"),
        lambda arrays: arrays.pop("1.log_backoff"),
        lambda arrays: arrays.update(more=np.zeros(3, dtype=np.float32)),
        lambda arrays: arrays.update({"2.keys": arrays["2.keys"][::-1].copy()}),
        lambda arrays: arrays.update({"2.keys": arrays["2.keys"] - 10_000}),
        lambda arrays: arrays.update({"2.keys": arrays["2.keys"] * 1_000_000}),
        lambda arrays: arrays.update({"2.keys": arrays["2.keys"].astype(np.int32)}),
        lambda arrays: arrays.update({"3.log_probs": arrays["3.log_probs"][1:]}),
        lambda arrays: arrays.update({"3.log_probs": arrays["3.log_probs"] * np.float32("nan")}),
        lambda arrays: arrays.clear(),
    ],
)
def test_damaged_counts_are_refused(model, change):
    lm = charlm.load(model)
    spoil(model, change)
    with pytest.raises(ModelError):
        read_counts(model, lm.tokenizer.vocab_size, lm.tokenizer.boundary_id)


def test_where_there_is_no_reserve_network_and_counts_have_a_half_each(trained):
    lm = charlm.load(trained)
    assert combine(lm.parts.reader, lm.parts.counts, np.zeros(0, dtype=np.uint16)) == UNTUNED
    assert check_name("best", UNTUNED) == "network+counts"
    assert Combination().row("network+counts") == [0.5, 0.5, 0.0] and len(PARTS) == 3


def test_counting_is_cut_to_the_time_and_says_so(trained):
    lm, part = charlm.load(trained), part_of([3_000, 2_000])
    whole = plan_counting(part, lm.tokenizer, float("inf"))
    short = plan_counting(part, lm.tokenizer, 0.005)
    assert (whole.cut, short.cut) == (False, True) and short.tokens == TOKENS_PER_SECOND / 200
    assert count(part, lm.tokenizer, Counting(3, 2_500, 5_000))[0].order == 3


def test_what_was_counted_is_kept_with_the_model_and_told(trained):
    config = json.loads((trained / "config.json").read_text())
    tokens = config["counts"]["tokens"]
    assert config["counts"] == {"order": 8, "whole": 8, "tokens": tokens, "total": tokens}
    told = describe(trained)["counts"]
    assert told == f"n-grams of up to 8 tokens, from {tokens:,} tokens"
    assert f"Its counts: {told}." in (trained / "README.md").read_text()


def test_what_was_cut_is_told():
    cut = Counted(4, 2, 5_000, 9_000)
    assert cut.in_words == (
        "n-grams of up to 4 tokens, of 3 to 4 without those seen once, from the last 5,000 of "
        "9,000 tokens"
    )
    assert ["5,000" in line for line in cut.cuts(4)] == [True, False]
    assert len(list(Counted(3, 1, 9, 9).cuts(5))) == 2  # seen once, and order
    assert not list(Counted(3, 3, 9, 9).cuts(5))  # no document is longer


@pytest.mark.parametrize("damage", [5, {"order": "x"}, {"surprise": 1}, []])
def test_damaged_facts_of_counts_are_refused(damage):
    with pytest.raises(ModelError):
        read_counted({"counts": damage})
    assert read_counted({}) is None


def test_counts_of_the_end_are_those_of_the_end_alone(trained):
    lm, part = charlm.load(trained), part_of([30, 20, 25])
    end = part_of([20, 25])
    ids = np.where(end.ids > 0, end.ids + 1, 0).astype(np.uint16)  # numbered as in the whole
    ours = count(part, lm.tokenizer, Counting(3, 45, 75))[0]
    theirs = count(TokenPart(ids, end.documents), lm.tokenizer, Counting(3, 45, 45))[0]
    for one, other in zip(ours.tables, theirs.tables, strict=True):
        np.testing.assert_array_equal(one.keys, other.keys)
        np.testing.assert_array_equal(one.log_probs, other.log_probs)
