"""Two models on one text: the difference, its interval, and a sentence."""

import json

import numpy as np
import pytest

import charlm
from charlm.cli.main import main
from charlm.errors import UsageError
from charlm.language.comparing import Comparison, compare

SENTENCES = ["the cat sat on the mat", "a dog ate the old bone", "we saw no cat by the log"]
SMALL = {"hidden": 16, "embed": 8, "batch": 8, "bptt": 16, "threads": 1}


def text(length, seed):
    random = np.random.default_rng(seed)
    return "\n".join(SENTENCES[k] for k in random.integers(3, size=length // 23)) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    (folder / "book.txt").write_text(text(20_000, 1))
    (folder / "new.txt").write_text(text(15_000, 2))
    (folder / "latin.txt").write_bytes("née\n".encode("latin-1") * 9)
    closed = {"tokenizer": "word", "unknown": "unk"}
    for name, options in {
        "good": {"tokenizer": "char", "steps": 120},
        "poor": {"tokenizer": "char", "steps": 20},
        "bytes": {"tokenizer": "byte", "steps": 60},
        "closed": closed | {"steps": 60},
        "closed-too": closed | {"steps": 10},
        "closed-small": closed | {"steps": 2, "vocab_size": 9},
    }.items():
        charlm.train(folder / "book.txt", out=str(folder / name), **SMALL, **options)
    return folder


def models(folder, *names):
    return [charlm.load(folder / name, threads=1) for name in names]


def test_the_scores_are_those_of_eval_and_the_better_one_is_named(folder):
    first, second = models(folder, "poor", "good")
    new = [str(folder / "new.txt")]
    found = compare(first, second, new, predictor="network")
    assert compare(first, second, folder / "new.txt", predictor="network") == found
    assert compare(first, second, *new, predictor="network") == found
    for model, score in zip((first, second), found.scores(), strict=True):
        assert score == pytest.approx(model.evaluate(path=new).bits_per_byte, rel=1e-5)
    low, high = found.interval
    assert low < found.difference < high < 0
    verdict = found.verdict()
    assert verdict.startswith(f"{second.directory} is better by ") and " to " in verdict


def test_turned_round_it_says_the_same(folder):
    first, second = models(folder, "poor", "good")
    new = [str(folder / "new.txt")]
    here, there = compare(first, second, new), compare(second, first, new)
    assert there.difference == -here.difference
    assert there.interval == pytest.approx((-here.interval[1], -here.interval[0]))
    assert there.verdict() == here.verdict()


def test_a_model_is_as_good_as_itself(folder):
    first, second = models(folder, "good", "good")
    found = compare(first, second, [str(folder / "new.txt")])
    assert found.difference == 0 and found.interval == (0, 0)
    assert found.verdict() == "the two score alike"


def test_tokenizers_may_differ(folder):
    first, second = models(folder, "good", "bytes")
    found = compare(first, second, [str(folder / "new.txt")])
    assert found.units == len(text(15_000, 2)) and found.interval is not None
    read = compare(first, second, [str(folder / "latin.txt")], encoding="latin-1")
    assert read.units == 45 and "too short" in read.verdict()


def test_without_a_text_it_is_the_one_that_both_have_held_out(folder):
    first, second = models(folder, "good", "bytes")
    found = compare(first, second, predictor="network")
    assert found.scores()[0] == pytest.approx(first.evaluate().bits_per_byte, rel=1e-5)
    other = folder / "other.txt"
    other.write_text(text(20_000, 5))
    charlm.train(other, out=str(folder / "other"), tokenizer="char", steps=2, **SMALL)
    with pytest.raises(UsageError, match="not held out the same"):
        compare(first, charlm.load(folder / "other", threads=1))


def test_closed_words_are_compared_by_the_word(folder):
    first, second = models(folder, "closed", "closed-too")
    found = compare(first, second, [str(folder / "new.txt")], predictor="network")
    [perplexity, _] = found.scores()
    whole = first.evaluate(path=folder / "new.txt")
    assert found.units == whole.tokens
    assert perplexity == pytest.approx(whole.word_perplexity, rel=1e-4)
    assert "nats per word" in found.verdict() and found.to_json()["words"] == whole.tokens
    with pytest.raises(UsageError, match="closed word form"):
        compare(*models(folder, "closed", "good"))
    with pytest.raises(UsageError, match="different vocabularies"):
        compare(*models(folder, "closed", "closed-small"))


def test_what_may_be_chance_is_called_so():
    found = Comparison(("a", "b"), ("network",) * 2, (100.0, 99.0), 50, True, (-0.1, 0.06))
    assert found.verdict() == (
        "no difference can be told on this text: b is better by 0.0289 bits per byte "
        "(-0.0866 to 0.1443), which may be chance"
    )


def test_the_command(folder, capsys):
    words = ["compare", folder / "poor", folder / "good", folder / "new.txt", "--threads", 1]
    words += ["--predictor", "network"]
    assert main([str(word) for word in words]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 3 and "is better by" in table[2]
    assert main([str(word) for word in [*words, "--json"]]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["models"][1]["predictor"] == "network" and found["interval"][1] < 0
    for wrong, code in (("none", 4), (folder / "closed", 2)):
        assert main(["compare", str(folder / "good"), str(wrong), str(folder / "new.txt")]) == code
    missing = ["compare", str(folder / "good"), str(folder / "poor"), str(folder / "none.txt")]
    assert main(missing) == 3
    (folder / "odd.txt").write_bytes(text(9_000, 3).encode() + b"\xff\n")
    odd = ["compare", folder / "good", folder / "poor", folder / "odd.txt", "--device", "cpu"]
    for more, code in (([], 0), (["--strict"], 3), (["--text-column", ""], 2)):
        assert main([str(word) for word in [*odd, *more]]) == code
    capsys.readouterr()
    rows = ["x,words", *(f"{n},the cat sat on the mat" for n in range(60))]
    (folder / "rows.csv").write_text("\n".join(rows))
    column = ["compare", folder / "good", folder / "bytes", folder / "rows.csv", "--json"]
    assert main([str(word) for word in [*column, "--text-column", "words"]]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == 60 * len("the cat sat on the mat")
    (folder / "empty.txt").write_text("")
    assert main([*missing[:3], str(folder / "empty.txt")]) == 3
