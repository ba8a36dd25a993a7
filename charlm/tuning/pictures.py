"""Pictures of a search, as PNG: what mattered, and all trials across their options."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlm import storage
from charlm.evaluation.plots import COLOURS, own_style, png_bytes, printable, require_matplotlib
from charlm.tuning.report import TuneReport
from charlm.tuning.trials import TrialRecord, completed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

IMPORTANCES, TRIALS = "importances.png", "trials.png"
WIDE = 1.5  # inches of a coordinate
HIGH = 4.8
LOGARITHMIC = ("hidden", "lr", "batch", "bptt", "vocab_size", "weight_decay")
MAP = "viridis"
TITLE = (
    "Trials: the darker the better; the best is thick, charlm's plan dashed, pruned ones are grey"
)


def draw(report: TuneReport) -> tuple[Path, ...]:
    """Draw what there is to see into the study's directory; give the files.

    Raises UsageError where matplotlib is missing, DiskError.
    """
    require_matplotlib()
    found: list[tuple[str, bytes]] = []
    if report.importances:
        found.append((IMPORTANCES, importances_plot(report)))
    if len(completed(report.trials)) > 1:
        found.append((TRIALS, trials_plot(report)))
    for name, data in found:
        storage.write_bytes(report.directory / name, data)
    return tuple(report.directory / name for name, _ in found)


def importances_plot(report: TuneReport) -> bytes:
    """Draw the share of each parameter in what makes trials good, beside the course of the search.

    PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255).
    """
    from matplotlib.figure import Figure

    with own_style():
        figure = Figure(figsize=(10.8, HIGH), layout="constrained")
        left, right = figure.subplots(1, 2)
        names = list(report.importances)[::-1]
        shares = [100 * report.importances[name] for name in names]
        left.barh([name.replace("_", " ") for name in names], shares, color=COLOURS[0])
        left.set(xlabel="share of what makes trials good, in %")
        left.set_title("What mattered")
        left.grid(visible=False, axis="y")
        _draw_course(right, report)
        return png_bytes(figure)


def _draw_course(axes: "Axes", report: TuneReport) -> None:
    """Draw the scores in the order of the trials, and the best until then."""
    from matplotlib.ticker import MaxNLocator

    trials = sorted((t for _, t in completed(report.trials)), key=lambda t: t.number)
    scores = [float(t.score or 0.0) for t in trials]
    numbers = [t.number for t in trials]
    best = [min(scores[: place + 1]) for place in range(len(scores))]
    axes.step(numbers, best, where="post", color=COLOURS[1], label="best until then")
    for plan, marker, label in ((False, "o", "trial"), (True, "D", "charlm's own plan")):
        chosen = [(t.number, t.score) for t in trials if t.plan == plan]
        if chosen:
            x, y = zip(*chosen, strict=True)
            colour = COLOURS[6] if plan else COLOURS[0]
            axes.plot(x, y, linestyle="", marker=marker, markersize=5, color=colour, label=label)
    axes.set_title("The course of the search")
    axes.set(xlabel="trial", ylabel=report.unit)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()


def trials_plot(report: TuneReport) -> bytes:
    """Draw each complete trial as a line across its options (parallel coordinates)."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    complete = [trial for _, trial in completed(report.trials)]
    pruned = [trial for trial in report.trials if trial.state == "pruned" and trial.options]
    columns = _columns([*complete, *pruned], complete, report.unit)
    with own_style():
        size = (max(6.0, WIDE * len(columns)), HIGH)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        for place, column in enumerate(columns):
            _draw_column(axes, place, column)
        for number in reversed(range(len(complete) + len(pruned))):  # the best above all others
            heights = [column.heights[number] for column in columns[:-1]]
            heights += columns[-1].heights[number : number + 1]  # those that were pruned have none
            style: dict[str, Any] = {"color": "#c8c8c8", "linewidth": 1.0}
            if number < len(complete):
                share = number / max(len(complete) - 1, 1)
                style = {"color": colormaps[MAP](0.9 * share), "alpha": 0.8}
                style["linewidth"] = 3.0 if number == 0 else 1.3
                style["linestyle"] = "--" if complete[number].plan else "-"
            axes.plot(range(len(heights)), heights, **style)
        axes.set_title(TITLE, fontsize=10)
        axes.set(xlim=(-0.3, len(columns) - 0.3), ylim=(-0.12, 1.08))
        axes.axis("off")
        return png_bytes(figure)


@dataclass(frozen=True)
class _Column:
    """One coordinate: where each trial stands, from 0 to 1, and what is written beside it."""

    name: str
    heights: list[float]
    labels: list[tuple[float, str]]


def _columns(
    trials: Sequence[TrialRecord], complete: Sequence[TrialRecord], unit: str
) -> list[_Column]:
    """Give a coordinate for each option that differs, and one for the score of complete trials."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.options))
    found = []
    for name in names:
        values = [trial.options.get(name) for trial in trials]
        if len(set(values)) > 1 and name != "seed":
            found.append(_column(name.replace("_", " "), values, name in LOGARITHMIC))
    return [*found, _column(unit, [trial.score for trial in complete], False)]


def _column(name: str, values: Sequence[Any], log: bool) -> _Column:
    numbers = all(isinstance(value, int | float) for value in values)
    if not numbers or len(set(values)) <= 3:
        kinds = sorted(set(values), key=lambda v: (v is None, isinstance(v, str), v))
        places = {kind: rank / max(len(kinds) - 1, 1) for rank, kind in enumerate(kinds)}
        labels = [(place, _label(kind)) for kind, place in places.items()]
        return _Column(name, [places[value] for value in values], labels)
    scaled = [math.log(value) if log else float(value) for value in values]
    low, high = min(scaled), max(scaled)
    marks = [low + (high - low) * part / 4 for part in range(5)]
    labels = [((m - low) / (high - low), _label(math.exp(m) if log else m)) for m in marks]
    return _Column(name, [(each - low) / (high - low) for each in scaled], labels)


def _label(value: Any) -> str:  # noqa: ANN401
    if value is None:
        return "usual"
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
    return printable(str(value))


def _draw_column(axes: "Axes", place: int, column: _Column) -> None:
    axes.plot([place, place], [0, 1], color="#767676", linewidth=1)
    axes.text(place, -0.09, column.name, ha="center", va="top", fontweight="bold")
    for height, label in column.labels:
        place_it: dict[str, Any] = {"va": "center", "fontsize": 9, "zorder": 9}
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
        axes.text(place + 0.05, height, label, color="#333333", bbox=box, **place_it)
