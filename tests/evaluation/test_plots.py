"""Plots: a PNG, the same each time, from logs as runs leave them; a sentence without matplotlib."""

import json
import sys

import numpy as np
import pytest

from charlm.errors import ModelError, UsageError
from charlm.evaluation.calibration import calibration
from charlm.evaluation.curve import LearningCurve, read_learning_curve
from charlm.evaluation.plots import draw_learning_curves, evaluation_plot
from tests.pictures import size_of

CURVE = LearningCurve(((50_000, 5.5), (100_000, 4.8)), ((60_000, 5.0), (120_000, 4.5)))
ALL = calibration(np.linspace(0, 1, 500), np.arange(500) % 3 == 0)


def test_a_plot_is_a_png_and_wider_with_a_curve():
    pytest.importorskip("matplotlib")
    (both, height), names = size_of(evaluation_plot(ALL, CURVE, "text as read by model"))
    (alone, same), _ = size_of(evaluation_plot(ALL, None, "text as read by model"))
    assert both == 2 * alone and height == same > 700
    assert b"tIME" not in names and b"tEXt" not in names


def test_a_plot_is_the_same_whatever_the_users_settings_are():
    matplotlib = pytest.importorskip("matplotlib")
    first = evaluation_plot(ALL, CURVE, "a")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "text.usetex": True}):
        assert evaluation_plot(ALL, CURVE, "a") == first
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize("title", ["$\\frac{", "漢字 🎉 \u202e", "a\nb\x1b", "_{x}^"])
def test_a_title_is_text_whatever_it_holds(title):
    pytest.importorskip("matplotlib")
    size_of(evaluation_plot(ALL, None, title))


def test_little_is_drawn_as_well():
    pytest.importorskip("matplotlib")
    one = calibration(np.array([1.0]), np.array([True]))
    size_of(evaluation_plot(one, LearningCurve(((50, 3.0),), ()), "one"))
    size_of(evaluation_plot(one, LearningCurve((), ((1, 3.0),)), "one"))


def test_several_runs_go_into_one_picture():
    figures = pytest.importorskip("matplotlib.figure")
    axes = figures.Figure().add_subplot()
    draw_learning_curves(axes, {"small": CURVE, "large": CURVE})
    labels = [line.get_label() for line in axes.get_lines()]
    assert labels == ["small training", "small held out", "large training", "large held out"]
    assert axes.get_xlabel() and axes.get_ylabel() == "nats per token"


def test_without_matplotlib_there_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match="matplotlib") as refused:
        evaluation_plot(ALL, CURVE, "a")
    assert refused.value.hint == "pip install 'charlm-toolkit[plot]'"


def log(folder, *lines, end="\n"):
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + end)
    return read_learning_curve(folder)


def test_a_curve_is_read_from_a_runs_log(tmp_path):
    assert read_learning_curve(tmp_path) is None
    (tmp_path / "metrics.jsonl").write_text("")
    assert read_learning_curve(tmp_path) is None
    assert log(tmp_path, {"step": 0, "targets": 0, "validation_nats": 9.0}) is None
    curve = log(
        tmp_path,
        {"step": 50, "targets": 1000, "nats": 3.5, "learning_rate": 0.1, "gradient_norm": None},
        {"step": 60, "targets": 1200, "validation_nats": 3.25},
        {"step": 70, "skipped": True, "position": [1]},
        {"step": 100, "targets": 2000, "nats": None},
    )
    assert curve == LearningCurve(((1000, 3.5),), ((1200, 3.25),))


def test_what_a_run_forgot_is_not_in_its_curve(tmp_path):
    lines = [{"step": n, "targets": 10 * n, "nats": float(n)} for n in (50, 100, 150)]
    lines.insert(2, {"step": 120, "targets": 1200, "validation_nats": 9.0})
    lines.append({"step": 160, "rolled_back_to": 100, "learning_rate_factor": 0.5})
    lines.append({"step": 150, "targets": 1500, "nats": 7.0})
    curve = log(tmp_path, *lines)
    assert curve == LearningCurve(((500, 50.0), (1000, 100.0), (1500, 7.0)), ())


def test_a_torn_last_line_is_left_out_and_another_refused(tmp_path):
    whole = {"step": 50, "targets": 1000, "nats": 3.5}
    assert log(tmp_path, whole, {"step": 100}, end="") == LearningCurve(((1000, 3.5),), ())
    for wrong in ([1], {"step": "x", "targets": 1, "nats": 1.0}, {"nats": 1.0}, "text", None):
        with pytest.raises(ModelError, match="line 2"):
            log(tmp_path, whole, wrong, whole)
