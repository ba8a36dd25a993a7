"""Checking: what a corpus holds and what is odd in it, told before any training."""

import json
import random
import subprocess
import sys

import pytest

from charlm.cli.main import main
from charlm.errors import CorpusError, UsageError
from charlm.language.checking import check_corpus
from charlm.language.request import TrainRequest
from charlm.text.finding import corpus_from_text
from charlm.text.repetition import LineSample, digest
from charlm.text.survey import survey


def check(path, **options):
    return check_corpus([str(path)], TrainRequest(**options))


@pytest.fixture
def file(tmp_path):
    def make(data, name="a.txt"):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return make


def prose(lines, seed=1):
    chance = random.Random(seed)
    words = ["cat", "dog", "house", "river", "green", "walks", "sees", "über"]
    return "".join(" ".join(chance.choices(words, k=12)) + "\n" for _ in range(lines))


def test_what_is_counted_agrees_with_the_text(file):
    text = prose(300)
    value = check(file(text)).to_json()
    assert value["bytes"] == len(text.encode()) and value["characters"] == len(text)
    assert value["words"] == 3600 and value["lines"] == 300
    assert (value["files"], value["documents"]) == (1, 1)
    assert value["longest_line"] == max(map(len, text.splitlines()))
    assert value["line_ends"] == {"lf": 300, "crlf": 0, "cr": 0, "other": 0}
    assert value["warnings"] == [] and value["overlap"] is None
    json.dumps(value)


@pytest.mark.parametrize("extras", [{"mogrifier": 5}, {"mixtures": 3}])
def test_the_forecast_counts_rounds_and_mixtures(file, extras):
    path, asked = file(prose(300)), {"hidden": 128, "cutoffs": "none", "threads": 1}
    plain, more = (check(path, **asked, **options).training for options in ({}, extras))
    assert more.parameters > plain.parameters and more.memory_bytes > plain.memory_bytes
    assert more.epochs < 0.8 * plain.epochs


def test_the_forecast_is_that_of_the_plan(file):
    text = prose(3000)
    plan = check(file(text), threads=2, precision="fp32").training
    assert plan.tokenizer == "char" and plan.held_out_bytes == pytest.approx(len(text) / 10, 0.1)
    assert plan.tokens == pytest.approx(len(text) * 0.9, rel=0.01)
    assert plan.epochs > 1 and plan.parameters > 10_000 and plan.memory_bytes > 1e8
    assert check(file(text), tokenizer="byte").training.tokenizer == "byte"
    bpe = check(file(text), tokenizer="bpe", vocab_size=300).training
    assert bpe.vocab_size <= 300 and bpe.tokens < plan.tokens
    longer = check(file(text), minutes=4.0, threads=2, precision="fp32").training
    assert longer.minutes == 4 and longer.hidden > plan.hidden


def test_odd_bytes_are_told(file):
    data = prose(400).encode() + b"bad \xff byte\0\x01\r\nnext\rlast\xe2\x80\xa8"
    value = check(file(b"\xef\xbb\xbf" + data)).to_json()
    assert (value["invalid_bytes"], value["byte_order_marks"]) == (1, 1)
    assert "line 401" in value["first_invalid"]
    assert (value["nul_characters"], value["control_characters"]) == (1, 1)
    assert value["line_ends"] == {"lf": 400, "crlf": 1, "cr": 1, "other": 1}
    told = " ".join(value["warnings"])
    for word in ("invalid", "NUL", "control", "mixed"):
        assert word in told


def test_broken_rows_are_told(file):
    rows = "".join(json.dumps({"text": line}) + "\n" for line in prose(50).splitlines())
    value = check(file(rows + "nonsense\n", "a.jsonl")).to_json()
    assert (value["rows"], value["broken_rows"], value["documents"]) == (51, 1, 50)
    assert "a.jsonl:51" in value["broken"][0] and "broken" in value["warnings"][0]
    with pytest.raises(CorpusError, match=r"a\.jsonl:51"):
        check(file(rows + "nonsense\n", "a.jsonl"), strict=True)


def test_repeated_lines_are_a_share_of_all(file):
    lines = [f"line number {i}" for i in range(100)]
    value = check(file("\n".join(lines + lines[:50] + [""] * 30)))
    assert value.repeated_lines == pytest.approx(50 / 150)
    assert any("stood in the text before" in line for line in value.warnings())


def test_what_of_the_held_out_text_is_in_the_corpus_is_told(file):
    lines = [f"line number {i}" for i in range(100)]
    valid = file("\n".join(lines[:10] + [f"new {i}" for i in range(30)]), "v.txt")
    value = check(file("\n".join(lines)), valid=str(valid))
    assert value.overlap == pytest.approx(0.25) and value.training.held_out_bytes == 0
    assert any("25% of the held-out lines" in line for line in value.warnings())


def test_a_sample_of_lines_tells_the_share_within_a_few_hundredths():
    sample = LineSample(max_lines=1000)
    for i in range(40_000):
        sample.add(digest(f"line {i % 30_000}"))
    assert sample.sampled and len(sample.counts) <= 1000
    assert sample.repeated_share() == pytest.approx(0.25, abs=0.05)


def test_how_the_text_is_cut_makes_no_difference(monkeypatch):
    text = ("one\r\ntwo\r\n\r\nthree\n" + "x" * 50 + "\r") * 20
    whole = survey(corpus_from_text(text))
    for size in (1, 2, 7, 64):
        monkeypatch.setattr("charlm.text.reading.PIECE", size)
        assert survey(corpus_from_text(text)) == whole or _facts(
            survey(corpus_from_text(text))
        ) == _facts(whole)


def _facts(found):
    return (found.units, found.line_ends, found.longest_line, found.lines.counts, found.sample)


def test_what_training_would_refuse_is_refused(file, tmp_path):
    for data in (b"", b"\xef\xbb\xbf", b" \n\n"):
        with pytest.raises(CorpusError, match="no text"):
            check(file(data))
    (tmp_path / "store.json").write_text("{}")
    with pytest.raises(UsageError, match="prepared"):
        check(tmp_path)


def test_the_command_prints_a_table_or_one_object(file, capsys):
    path = str(file(prose(100)))
    assert main(["check", path]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "words" in out and "epochs" in out and "tokenizer" in out
    assert main(["check", path, "--json", "--valid", path]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["overlap"] == 1 and value["training"]["tokenizer"] == "char"


def test_a_corpus_without_text_is_refused_before_torch_is_loaded(file):
    code = (
        "import sys\nfrom charlm.cli.main import main\n"
        f"code = main(['check', {str(file(''))!r}])\n"
        "sys.exit('torch' if 'torch' in sys.modules else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 3 and "no text" in done.stderr
