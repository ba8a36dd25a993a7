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


@pytest.mark.parametrize("long", [["the cat " * (parts.FEW_CHARACTERS // 8)], ["a"] * 256])
def test_much_text_is_read_by_pytorch_and_a_little_by_the_runtime(model, long):
    lm = load(model, threads=1)
    lm.score_lines(["the cat sat", "the dog"])
    assert lm.score("the cat") > 0 and "reader" not in vars(lm.parts)
    nats = [score.nats for score in lm.score_lines(long)]
    assert "reader" in vars(lm.parts)
    assert nats[0] == pytest.approx(lm.score(long[0]), rel=1e-4)
