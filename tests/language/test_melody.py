"""A melody: tunes in ABC notation in, new tunes out, which parse as ABC."""

import pytest

import charlm
from tests.abc_checker import NotAbc, check_tune, tunes_in

TUNE = 'X:1\nT:A jig\nM:6/8\nL:1/8\nK:D\nA|"D"d2d dcB|"A7"A3 A2A|"G"B2B BAG|"D"F3 D2:|\n'


def parses(text):
    try:
        check_tune(text)
    except NotAbc:
        return False
    return True


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("X:1\n", ""),
        ("K:D\n", ""),
        ("M:6/8\nL:1/8\n", ""),
        ("d2d dcB", "d2d dcBAG"),
        ("d2d dcB", "d2d dc$"),
        ('"A7"', '"A7'),
        ("K:D\n", "K:D\nand some words\n"),
    ],
)
def test_the_checker_takes_a_tune_and_refuses_it_damaged(before, after):
    assert parses(TUNE)
    assert before in TUNE and not parses(TUNE.replace(before, after, 1))


def test_the_checker_takes_nearly_all_tunes_of_the_database(shared_data):
    folder = shared_data / "nottingham-abc"
    tunes = [tune for path in sorted(folder.glob("*.abc")) for tune in tunes_in(path.read_text())]
    assert len(tunes) > 1_000
    assert sum(map(parses, tunes)) > 0.95 * len(tunes)


def test_after_seconds_of_jigs_new_tunes_parse(shared_data, tmp_path):
    options = {"documents": "blank", "tokenizer": "char", "hidden": 160, "embed": 32, "lr": 0.02}
    options |= {"steps": 250, "batch": 32, "bptt": 48, "threads": 1, "out": str(tmp_path / "run")}
    lm = charlm.train(shared_data / "nottingham-abc" / "jigs.abc", **options)
    start, tunes = "X: 1\nT:", []
    for seed in range(10):
        text = lm.generate(start, max_tokens=600, temperature=0.4, seed=seed, stop=["\n\n"])
        tunes.append(start + text.split("\n\n")[0])
    assert len(set(tunes)) == len(tunes)
    assert sum(map(parses, tunes)) >= 7  # 9 where this was written
