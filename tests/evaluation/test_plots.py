"""Plots: a PNG, the same each time; a sentence without matplotlib."""

import sys

import numpy as np
import pytest

from charlm.errors import UsageError
from charlm.evaluation.calibration import calibration
from charlm.evaluation.curve import LearningCurve, Point
from charlm.evaluation.plots import draw_learning_curve, evaluation_plot
from tests.pictures import size_of

CURVE = LearningCurve(
    (Point(50, 50_000, 5.5), Point(100, 100_000, 4.8)),
    (Point(60, 60_000, 5.0), Point(120, 120_000, 4.5)),
)
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
    size_of(evaluation_plot(one, LearningCurve((Point(1, 50, 3.0),), ()), "one"))
    size_of(evaluation_plot(one, LearningCurve((), (Point(1, 1, 3.0),)), "one"))


def test_a_learning_curve_is_in_bits():
    figures = pytest.importorskip("matplotlib.figure")
    axes = figures.Figure().add_subplot()
    draw_learning_curve(axes, CURVE)
    training, held_out = axes.get_lines()
    assert (training.get_label(), held_out.get_label()) == ("training", "held out")
    assert axes.get_ylabel() == "bits per token"
    np.testing.assert_allclose(held_out.get_ydata(), np.array([5.0, 4.5]) / np.log(2))


def test_without_matplotlib_there_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match="matplotlib") as refused:
        evaluation_plot(ALL, CURVE, "a")
    assert refused.value.hint == "pip install 'charlm-toolkit[plot]'"
