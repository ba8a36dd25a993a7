"""charlm score: a filter of lines, whatever their length."""

import pytest

from charlm import load
from charlm.cli.main import main
from charlm.language import parts

SMALL = ["--steps", "10", "--hidden", "16", "--embed", "8", "--batch", "4", "--bptt", "16"]
SMALL += ["--lr", "0.01", "--threads", "1"]
LINE = "the café cat sat on the mat and the dog sat too\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("score")
    (folder / "book.txt").write_text(LINE * 60)
    assert main(["train", str(folder / "book.txt"), "--out", str(folder / "run"), *SMALL]) == 0
    return folder / "run"


@pytest.fixture
def say(capsys):
    def run(*words):
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return run


def test_a_few_invalid_bytes_are_replaced_and_told_and_more_are_refused(say, model, tmp_path):
    path, good = tmp_path / "lines", LINE.encode() * 50
    path.write_bytes(good + b"caf\xe9\n")
    code, out, err = say("score", model, path)
    assert code == 0 and out.splitlines()[-1].endswith("\tcaf\ufffd")
    evaluated = say("eval", model, path)
    assert err in evaluated[2] and "1 invalid bytes became U+FFFD, the first at " in err
    assert f"line 51, byte offset {len(good) + 3} (--strict refuses them)" in err
    code, out, err = say("score", model, path, "--strict")
    assert (code, out) == (3, "") and "line 51" in err and "leave out --strict" in err
    code, out, err = say("score", model, path, "--encoding", "cp1251", "--json")
    assert (code, err) == (0, "") and '"cafй"' in out.splitlines()[-1]
    path.write_bytes(good + b"caf\xe9\n" * 9)
    code, out, err = say("score", model, path)
    assert (code, out) == (3, "") and "line 51" in err and "--encoding latin-1" in err


@pytest.mark.parametrize("long", [["the cat " * (parts.FEW_CHARACTERS // 8)], ["a"] * 256])
def test_much_text_is_read_by_pytorch_and_a_little_by_the_runtime(model, long):
    lm = load(model, threads=1)
    lm.score_lines(["the cat sat", "the dog"])
    assert lm.score("the cat") > 0 and "reader" not in vars(lm.parts)
    nats = [score.nats for score in lm.score_lines(long)]
    assert "reader" in vars(lm.parts)
    assert nats[0] == pytest.approx(lm.score(long[0]), rel=1e-4)
