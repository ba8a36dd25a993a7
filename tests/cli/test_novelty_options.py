"""`charlm generate --novelty` and `--max-copy`: what is printed, where, and what is refused."""

import json

import pytest

from charlm.cli.main import main

SMALL = ["--steps", "60", "--hidden", "24", "--embed", "12", "--batch", "8"]
SMALL += ["--bptt", "16", "--lr", "0.01", "--threads", "1"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("novelty")
    (folder / "book.txt").write_text("the cat sat on the mat and the dog sat too\n" * 60)
    assert main(["train", str(folder / "book.txt"), "--out", str(folder / "run"), *SMALL]) == 0
    return folder / "run"


@pytest.fixture
def generate(capsys, model):
    """Run `charlm generate`; the training text has to be given, since each test has its cache."""

    def run(*words, text=True):
        given = ["--training-text", str(model.parent / "book.txt")] if text else []
        code = main(["generate", str(model), "the c", "--seed", "1", *words, *given])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


def test_one_sample_streams_and_its_copy_is_told_on_standard_error(generate):
    code, out, err = generate("--novelty", "--max-tokens", "30")
    assert code == 0 and out.startswith("the c") and "copy" not in out
    *preparing, line = err.splitlines()
    assert line.startswith("longest copy ") and "of the training text at byte " in line
    assert "indexing 2,322 bytes of training text, once" in preparing
    again = generate("--novelty", "--max-tokens", "30")[2]
    assert again.splitlines()[-1] == line and "indexing" not in again


def test_where_the_text_is_still_there_nobody_is_asked_for_it(generate):
    code, _, err = generate("--novelty", "--max-tokens", "30", text=False)
    assert code == 0 and "prepared 2,322 bytes to learn from" in err and "longest copy" in err


def test_of_several_samples_each_has_its_line(generate):
    _, out, err = generate("--novelty", "--max-tokens", "9", "--samples", "3")
    assert out.count("---") == 6
    starts = [line.split(" copy ")[0] for line in err.splitlines()[-3:]]
    assert starts == ["1: longest", "2: longest", "3: longest"]


def test_json_has_what_was_copied_and_nothing_else_is_printed(generate):
    _, out, _ = generate("--novelty", "--json", "--samples", "2", "--max-tokens", "20")
    for sample in json.loads(out)["samples"]:
        assert sample["copied_text"] in sample["text"]
        assert sample["copied_characters"] == len(sample["copied_text"]) > 0
        assert sample["copied_from"] >= 0
    _, out, _ = generate("--json", text=False)
    assert "copied_characters" not in json.loads(out)["samples"][0]


def test_no_sample_copies_more_than_the_limit(generate):
    options = ["--novelty", "--json", "--samples", "4", "--max-tokens", "80", "--temperature", "0"]
    _, out, _ = generate(*options)
    assert all(sample["copied_characters"] > 8 for sample in json.loads(out)["samples"])
    _, out, _ = generate(*options, "--max-copy", "8")
    assert all(sample["copied_characters"] <= 8 for sample in json.loads(out)["samples"])


@pytest.mark.parametrize(
    "words, text, told",
    [
        (["--novelty"], False, "--training-text FILE"),
        (["--max-copy", "9"], False, "--training-text FILE"),
        (["--max-copy", "0"], False, "--max-copy must be 1 or more, not 0"),
        (["--max-copy", "ten"], True, "--max-copy"),
        ([], True, "--training-text is for --novelty and --max-copy"),
    ],
)
def test_what_cannot_work_is_2_and_a_sentence(generate, model, words, text, told):
    book = model.parent / "book.txt"
    if not text:
        book = book.rename(model.parent / "moved.txt")
    code, out, err = generate(*words, text=text)
    book.rename(model.parent / "book.txt")
    assert (code, out) == (2, "") and told in err and len(err.splitlines()) <= 5


def test_another_text_is_3(generate, tmp_path):
    (tmp_path / "other.txt").write_text("something else\n" * 90)
    code, out, err = generate(
        "--novelty", "--training-text", str(tmp_path / "other.txt"), text=False
    )
    assert (code, out) == (3, "") and "is not the text that the model learned from" in err
