"""What is told of a search: the table, the verdict, the pictures."""

import json
from pathlib import Path

import numpy as np
import pytest

from charlm.tuning.objective import Outcome
from charlm.tuning.pictures import draw
from charlm.tuning.report import TuneReport, table
from charlm.tuning.score import SCORE, paired_interval, write_score
from charlm.tuning.trials import TrialRecord
from tests.pictures import size_of

OPTIONS = {"tokenizer": "char", "vocab_size": None, "hidden": 64, "lr": 0.0171875, "seed": 1}


def trial(number, score, plan=False, state="complete", **more):
    options = OPTIONS | {"hidden": 64 + 32 * number, "lr": 0.01 * (number + 1)}
    return TrialRecord(number, state, score, {"x": 1.0}, options, plan=plan, **more)


def report(*trials, interval=(-0.05, -0.01), directory=Path("s"), importances=None):
    return TuneReport(
        directory,
        "bits per byte",
        {"minutes": 1.0},
        trials,
        interval,
        importances or {},
        "charlm train",
    )


def test_better_than_chance_is_called_better():
    found = report(trial(0, 2.0, plan=True), trial(1, 1.97), trial(2, 2.02, plan=True, repeat=1))
    assert found.is_better and found.gain == pytest.approx(0.03)
    assert found.spread == pytest.approx(0.02)
    assert "trial 1 is better than charlm's own plan by 0.0300" in found.verdict()
    assert "0.0100 to 0.0500 on this text" in found.verdict()


@pytest.mark.parametrize(
    ("other", "interval"),
    [(2.04, (-0.05, -0.01)), (2.02, (-0.07, 0.001))],
    ids=["seeds differ by more", "the interval holds zero"],
)
def test_what_chance_may_do_is_said_to_be_chance(other, interval):
    trials = trial(0, 2.0, plan=True), trial(1, 1.97), trial(2, other, plan=True, repeat=1)
    found = report(*trials, interval=interval)
    assert found.is_better is False
    assert "does not beat charlm's own plan by more than chance" in found.verdict()


def test_where_the_plan_wins_it_is_said_so():
    found = report(trial(0, 2.0, plan=True), trial(1, 2.1))
    assert found.is_better is False and found.best.plan
    assert found.verdict() == "no trial is better than charlm's own plan, 2.0000 bits per byte"


def test_a_short_text_leaves_it_open():
    trials = trial(0, 2.0, plan=True), trial(1, 1.9), trial(2, 2.02, plan=True, repeat=1)
    found = report(*trials, interval=None)
    assert found.is_better is None and "as the held-out text is too short" in found.verdict()


def test_one_run_of_the_plan_leaves_open_what_a_seed_does():
    found = report(trial(0, 2.0, plan=True), trial(1, 1.9))
    assert found.is_better is None and "as the plan ran once" in found.verdict()
    far = report(trial(0, 2.0, plan=True), trial(1, 1.99), interval=(-0.05, 0.03))
    assert far.is_better is False and "does not beat" in far.verdict()


def test_without_the_plan_there_is_nothing_to_compare_with():
    found = report(trial(0, None, plan=True, state="running"), trial(1, 1.9))
    assert found.gain is None and "is not complete yet" in found.verdict()
    assert "no trial is complete" in report().verdict()


def test_the_table_ranks_and_gives_reasons():
    lines = table(
        [
            trial(0, 2.0, plan=True),
            trial(1, 1.9),
            trial(2, 2.5, state="pruned", why="worse than most at 50 %"),
            TrialRecord(3, "failed", why="its process died each time"),
            TrialRecord(4, "waiting"),
        ],
        "bits per byte",
    ).splitlines()
    assert [line.split()[0] for line in lines] == ["trial", "1", "0", "2", "3"]
    assert "1.9000" in lines[1] and lines[2].endswith("charlm's own plan")
    assert "pruned" in lines[3] and "2.5" not in lines[3]
    assert lines[3].endswith("worse than most at 50 %") and "died" in lines[4]
    assert "vocab size" in lines[0] and "seed" not in lines[0]


def test_json_holds_what_the_text_says():
    found = report(trial(0, 2.0, plan=True), trial(1, 1.97), trial(2, 1.99, plan=True))
    value = json.loads(json.dumps(found.to_json()))
    assert (
        value["best"] == 1 and value["best_score"] == 1.97 and value["plan_scores"] == [1.99, 2.0]
    )
    assert value["beats_the_plan"] is True and value["command"] == "charlm train"
    assert value["trials"][1]["options"]["hidden"] == 96
    assert value["verdict"] in found.text() and "a little flattering" in found.text()


def scored(folder, name, costs, units):
    (folder / name).mkdir()
    score = sum(costs) / sum(units)
    write_score(folder / name, Outcome(score, list(costs), list(units)))
    return folder / name


def test_two_trials_are_compared_in_pairs_on_the_same_stretches(tmp_path):
    hard = np.random.default_rng(1).uniform(10, 100, 65)
    one = scored(tmp_path, "one", hard, [32] * 64 + [7])
    same = scored(tmp_path, "same", hard, [32] * 64 + [5])  # ends two bytes before
    worse = scored(tmp_path, "worse", hard + 3.2, [32] * 64 + [7])
    assert paired_interval(one, same) == pytest.approx((0, 0))
    assert paired_interval(one, worse) == pytest.approx((0.1, 0.1))
    assert paired_interval(worse, one) == pytest.approx((-0.1, -0.1))


def test_of_short_damaged_or_missing_scores_there_is_no_interval(tmp_path):
    one = scored(tmp_path, "one", [1.0] * 20, [32] * 20)
    short = scored(tmp_path, "short", [1.0] * 3, [32] * 3)
    other = scored(tmp_path, "other", [1.0] * 20, [64] * 20)
    for second in (short, other, tmp_path / "none"):
        assert paired_interval(one, second) is None
    for content in ("{", "[]", '{"costs": "x", "units": []}'):
        (other / SCORE).write_text(content)
        assert paired_interval(one, other) is None


def test_pictures_are_drawn_of_what_there_is(tmp_path):
    pytest.importorskip("matplotlib")
    trials = [trial(0, 2.0, plan=True), trial(1, 1.9)]
    assert draw(report(*trials[:1], directory=tmp_path)) == ()
    [two] = draw(report(*trials, directory=tmp_path))
    pruned = trial(2, 2.5, state="pruned")
    many = [trial(number, 2 + number / 10) for number in range(3, 9)]
    mixed = TrialRecord(9, "complete", 3.0, {}, OPTIONS | {"tokenizer": "bpe", "vocab_size": 512})
    shares = {"lr_factor": 0.75, "cell": 0.25}
    found = report(*trials, pruned, *many, mixed, directory=tmp_path, importances=shares)
    assert [path.name for path in draw(found)] == ["importances.png", "trials.png"]
    (width, _), _ = size_of((tmp_path / "trials.png").read_bytes())
    assert width > 900 and two.name == "trials.png"
    size_of((tmp_path / "importances.png").read_bytes())
