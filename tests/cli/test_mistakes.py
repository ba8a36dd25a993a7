"""What a mistake is answered: what is wrong, and what to do, in words that fit the command."""

import pytest

import charlm
from charlm.cli.main import main
from charlm.errors import UsageError

SMALL = ["--steps", "20", "--hidden", "12", "--embed", "8", "--batch", "8", "--bptt", "16"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "book.txt").write_text("the cat sat on the mat and the dog sat too\n" * 60)
    (folder / "latin.txt").write_bytes("née à l'été\n".encode("latin-1") * 30)
    (folder / "odd.txt").write_bytes(b"the cat sat on the mat\n" * 300 + b"\xff\n")
    (folder / "noise.bin").write_bytes(bytes(range(256)) * 20)
    (folder / "empty.txt").write_text("")
    (folder / "short.txt").write_text("the cat")
    out = str(folder / "run")
    words = ["train", str(folder / "book.txt"), "--out", out, "--threads", "1", *SMALL]
    assert main(words) == 0
    return folder


@pytest.fixture
def told(folder, capsys):
    """Run a command line on the folder's files; give the exit code and the two lines."""

    def run(*words):
        names = [str(folder / word) if (folder / word).exists() else word for word in words]
        code = main(names)
        out, err = capsys.readouterr()
        assert out == "" and "Traceback" not in err
        return code, err

    return run


@pytest.mark.parametrize(
    "words, code, error, hint",
    [
        (["eval", "run", "latin.txt", "--strict"], 3, "not UTF-8", "--encoding latin-1"),
        (["eval", "run", "odd.txt", "--strict"], 3, "not UTF-8", "leave out --strict"),
        (["eval", "run", "noise.bin"], 3, "binary file", "and the models it makes"),
        (["compare", "run"], 2, "required: OTHER\n", "charlm compare --help"),
        (["eval"], 2, "required: MODEL\n", "charlm eval --help"),
        (["info", "run", "book.txt"], 2, "is a word too many", "charlm info --help"),
        (["suggest", "run", "the", "cat"], 2, "'cat' is a word too many", "put quotes around"),
        (["suggest", "run", "--sample"], 2, "unknown option '--sample'", "did you mean"),
        (["adapt", "run", "short.txt"], 3, "short.txt: 7 tokens are too few", "a longer text"),
        (["adapt", "run", "empty.txt"], 3, "no text in", ""),
        (["generate", "run", "--state", "book.txt"], 4, "book.txt is no state", "--save-state"),
    ],
)
def test_the_answer_fits(told, words, code, error, hint):
    got, err = told(*words)
    assert got == code and error in err and hint in err


def test_a_file_of_a_model_that_is_gone_is_named_with_what_to_do(told, folder):
    path = folder / "run" / "counts.safetensors"
    data = path.read_bytes()
    path.unlink()
    code, err = told("eval", "run", "book.txt")
    path.write_bytes(data)
    assert code == 4 and "counts.safetensors is missing, which MANIFEST.json lists" in err
    assert "copy the whole directory again from where it is whole, or make it anew" in err


WRONG = {
    "a prompt": lambda lm: lm.generate(3),
    "no prompt": lambda lm: next(lm.stream(None)),
    "a number of samples": lambda lm: lm.samples("a", count="two"),
    "a half-typed text": lambda lm: lm.suggest(None),
    "a number of words": lambda lm: lm.suggest("a", k="two"),
    "a text to evaluate": lambda lm: lm.evaluate(5),
    "a path": lambda lm: lm.evaluate(path=5),
    "several paths": lambda lm: lm.evaluate(path=["a", 5]),
    "a text to score": lambda lm: lm.score(5),
    "lines": lambda lm: lm.score_lines(["a", 5]),
    "a text to read": lambda lm: lm.read(5),
    "a copy": lambda lm: lm.copied(5),
    "a text to compress": lambda lm: lm.compress("a"),
    "a corpus": lambda lm: charlm.train(5),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_of_another_kind_is_refused_with_a_sentence(folder, what):
    with pytest.raises(UsageError, match=r"wanted here|must be 1 or more|bytes are compressed"):
        WRONG[what](charlm.load(folder / "run", threads=1))
