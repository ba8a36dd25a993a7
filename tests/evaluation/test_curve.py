"""The course of a run is read from its logs as runs leave them: torn, damaged, gone back."""

import json
import math

import pytest

from charlm.errors import ModelError
from charlm.evaluation.curve import LearningCurve, Point, read_learning_curve


def log(folder, *lines, end="\n", name="metrics.jsonl", tell=lambda line: None):
    (folder / name).write_text("\n".join(map(json.dumps, lines)) + end)
    return read_learning_curve(folder, tell)


def nats(curve):
    return [(point.step, point.nats) for point in curve.training]


def test_a_curve_is_read_from_a_runs_log(tmp_path):
    assert read_learning_curve(tmp_path) is None
    (tmp_path / "metrics.jsonl").write_text("")
    assert read_learning_curve(tmp_path) is None
    assert log(tmp_path, {"step": 0, "targets": 0, "validation_nats": 9.0}) is None
    curve = log(
        tmp_path,
        {"step": 50, "targets": 1000, "nats": 3.5, "learning_rate": 0.1, "gradient_norm": None},
        {"step": 60, "targets": 1200, "validation_nats": 3.25, "validation_bits_per_byte": 2.5},
        {"step": 70, "skipped": True, "position": [1]},
        {"step": 100, "targets": 2000, "nats": None},
    )
    point, held_out = Point(50, 1000, 3.5, learning_rate=0.1), Point(60, 1200, 3.25, None, 2.5)
    assert curve == LearningCurve((point,), (held_out,))
    assert held_out.bits == pytest.approx(3.25 / math.log(2))


def test_times_and_speeds_come_from_the_other_log(tmp_path):
    log(
        tmp_path,
        {"step": 50, "seconds": 1.0, "targets_per_second": 900.0},
        {"step": 50, "seconds": 1.5, "validation": True},
        {"step": 50, "seconds": 2.0, "targets_per_second": 800.0},  # done again
        name="timings.jsonl",
    )
    curve = log(
        tmp_path,
        {"step": 50, "targets": 9, "nats": 3.0},
        {"step": 50, "targets": 9, "validation_nats": 4.0},
        {"step": 100, "targets": 18, "nats": 2.0},
    )
    assert [(p.seconds, p.tokens_per_second) for p in curve.training] == [(2.0, 800.0), (None,) * 2]
    assert [(p.seconds, p.tokens_per_second) for p in curve.held_out] == [(1.5, None)]


def test_what_a_run_forgot_is_not_in_its_curve(tmp_path):
    lines = [{"step": n, "targets": 10 * n, "nats": float(n)} for n in (50, 100, 150)]
    lines.insert(2, {"step": 120, "targets": 1200, "validation_nats": 9.0})
    lines.append({"step": 160, "rolled_back_to": 100, "learning_rate_factor": 0.5})
    lines.append({"step": 150, "targets": 1500, "nats": 7.0})
    curve = log(tmp_path, *lines)
    assert nats(curve) == [(50, 50.0), (100, 100.0), (150, 7.0)] and not curve.held_out


def test_steps_that_are_logged_again_replace_those_from_there_on(tmp_path):
    steps = [50, 100, 150, 200, 100, 150]
    lines = [{"step": n, "targets": n, "nats": float(at)} for at, n in enumerate(steps)]
    assert nats(log(tmp_path, *lines)) == [(50, 0.0), (100, 4.0), (150, 5.0)]


def test_a_torn_last_line_is_left_out_in_silence(tmp_path):
    whole, told = {"step": 50, "targets": 1000, "nats": 3.5}, []
    assert nats(log(tmp_path, whole, {"step": 100}, end="", tell=told.append)) == [(50, 3.5)]
    assert not told


@pytest.mark.parametrize(
    "wrong",
    [
        [1],
        {"step": "x", "targets": 1, "nats": 1.0},
        {"nats": 1.0},
        {"step": 60, "nats": 1.0},
        {"step": 60, "targets": 9, "nats": math.nan},
        {"step": 60, "targets": 9, "nats": 10**400},
        "text",
        None,
    ],
)
def test_a_damaged_line_is_named_and_left_out(tmp_path, wrong):
    first, last = ({"step": n, "targets": n, "nats": 1.0} for n in (50, 100))
    told = []
    curve = log(tmp_path, first, wrong, last, wrong, tell=told.append)
    assert nats(curve) == [(50, 1.0), (100, 1.0)]
    assert len(told) == 1 and "metrics.jsonl, line 2, and 1 more: damaged" in told[0]


def test_a_file_that_is_no_log_is_refused(tmp_path):
    with pytest.raises(ModelError, match="line 1, is no line"):
        log(tmp_path, "text", [1])
