"""Lines together and one by one: the same scores, and figures as the clock has them."""

import pytest

from charlm.benchmark.aims import TOGETHER as AIM
from charlm.benchmark.aims import verdicts
from charlm.benchmark.scoring_speed import (
    COMPILED,
    NUMPY,
    TOGETHER,
    line_scorers,
    measure_line_scoring,
    speeds_of,
)
from charlm.language.fit import fit
from charlm.language.request import TrainRequest

FACTS = {"kind": "char", "lines": 50, "many": 2_000, "few": 100}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lines")
    text = folder / "text.txt"
    text.write_text("the cat sat on the mat\n\nand so it goes on\n" * 400)
    small = {"steps": 3, "hidden": 8, "embed": 8, "batch": 4, "bptt": 8, "threads": 1}
    request = TrainRequest(tokenizer="char", out=str(folder / "model"), **small)
    return str(fit([str(text)], request).model.directory)


def test_both_ways_score_the_same_lines_alike(model):
    facts, contestants = line_scorers({"model": model, "quick": True})
    assert facts["lines"] == 200 and 0 < facts["few"] < facts["many"]
    together = [line.nats for line in contestants[TOGETHER]()]
    for way in contestants.keys() & {NUMPY, COMPILED}:
        apart = [nats for [nats] in contestants[way]()]
        assert apart == pytest.approx(together[: len(apart)], rel=1e-4)


def test_a_race_of_lines_in_a_process_of_its_own(model):
    found = measure_line_scoring(model, rounds=1, quick=True)
    assert (found.model, found.kind) == (model, "char")
    assert 10 < found.tokens < 30 and found.together > 0 and found.one_by_one > 0
    assert found.ratio > 0 and found.compiled_ratio != 0


def test_ratios_are_by_token():
    seconds = {TOGETHER: [2.0, 4.0], NUMPY: [1.0, 2.0], COMPILED: [0.5, 1.0]}
    found = speeds_of("m", FACTS, seconds)
    assert (found.tokens, found.ratio, found.compiled_ratio) == (40, 10, 5)
    assert found.together == 2_000 / 3 and found.one_by_one == 100 / 1.5
    del seconds[COMPILED]
    assert speeds_of("m", FACTS, seconds).compiled_ratio is None


def test_the_aim_is_for_numpy():
    seconds = {TOGETHER: [1.0], NUMPY: [0.2], COMPILED: [0.3]}
    [slow] = verdicts([], [], [], [speeds_of("m", FACTS, seconds)])
    [quick] = verdicts([], [], [], [speeds_of("m", FACTS, seconds | {NUMPY: [0.3]})])
    assert slow.aim == AIM and slow.found == pytest.approx(4) and not slow.met and quick.met
