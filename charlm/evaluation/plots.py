"""Pictures of a model: its learning curve and its calibration, as PNG. Needs matplotlib.

Drawn without a display, and alike wherever the versions are the same: nobody's settings count,
and the file holds no date.
"""

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from charlm.errors import UsageError
from charlm.evaluation.calibration import Calibration
from charlm.evaluation.curve import LearningCurve, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150
HEIGHT = 5.2  # inches
WIDTH = 5.4  # of a panel
BITS = 1 / np.log(2)  # in a nat
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
STYLE = {  # the colours above: Okabe & Ito 2008, which the colour-blind tell apart
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def require_matplotlib() -> None:
    """Raise UsageError where matplotlib is missing: better before the work than after it."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError(
            "drawing a plot needs the package matplotlib", "pip install 'charlm-toolkit[plot]'"
        ) from None


def evaluation_plot(calibration: Calibration, curve: LearningCurve | None, title: str) -> bytes:
    """Draw the learning curve, where there is one, beside the calibration; give a PNG."""
    require_matplotlib()
    from matplotlib.figure import Figure

    panels = 1 if curve is None else 2
    with own_style():
        figure = Figure(figsize=(WIDTH * panels, HEIGHT), layout="constrained")
        figure.suptitle(printable(title), fontsize=12, parse_math=False)
        grid = figure.add_gridspec(4, panels)
        if curve is not None:
            draw_learning_curves(figure.add_subplot(grid[:, 0]), {"": curve})
        above = figure.add_subplot(grid[:3, -1])
        draw_calibration(above, calibration)
        draw_confidences(figure.add_subplot(grid[3, -1], sharex=above), calibration)
        return png_bytes(figure)


def draw_learning_curves(axes: "Axes", curves: Mapping[str, LearningCurve]) -> None:
    """Draw the curves of runs, by their names; one run alone needs none."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    for number, (name, curve) in enumerate(curves.items()):
        own = COLOURS[number % len(COLOURS)]
        held_out = COLOURS[1] if len(curves) == 1 else own
        few = "s" if len(curve.training) < 3 else ""
        _draw_points(axes, curve.training, f"{name} training".strip(), own, few)
        _draw_points(axes, curve.held_out, f"{name} held out".strip(), held_out, "o")
        if curve.held_out:
            style: dict[str, Any] = {
                "color": held_out,
                "ha": "right",
                "textcoords": "offset points",
            }
            last = curve.held_out[-1]
            axes.annotate(f"{last[1]:.3f}", last, xytext=(0, -14), **style)
    axes.set_title("Learning curve of the network")
    axes.set_xlabel("tokens learned from")
    axes.set_ylabel("nats per token")
    axes.set_xscale("log")
    axes.margins(y=0.08)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 200k, 1M
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend()


def _draw_points(
    axes: "Axes", points: tuple[Point, ...], label: str, colour: str, marker: str
) -> None:
    if points:
        tokens, nats = zip(*points, strict=True)
        axes.plot(tokens, nats, color=colour, marker=marker, markersize=4, label=label)


def draw_calibration(axes: "Axes", calibration: Calibration) -> None:
    """Draw how often the first guess came against its confidence (Guo et al. 2017, figure 1)."""
    there = calibration.tokens > 0
    x, y = calibration.mean_confidence[there], calibration.accuracy[there]
    low, high = (edge[there] for edge in calibration.interval())
    axes.plot([0, 1], [0, 1], color="#767676", linestyle="--", linewidth=1, label="calibrated")
    reach = np.clip([y - low, high - y], 0, 1)
    style: dict[str, Any] = {"color": COLOURS[0], "marker": "o", "markersize": 4, "capsize": 2}
    style["clip_on"] = False  # points at 0 and 1 are whole
    axes.errorbar(x, y, yerr=reach, elinewidth=1, label="this model, 95 % interval", **style)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="how often it came")
    axes.set_title("Calibration of the most probable token", pad=22)
    axes.tick_params(labelbottom=False)
    axes.legend(loc="upper left")
    total = max(calibration.total, 1)
    surprise, expected = (sums * BITS / total for sums in (calibration.nats, calibration.entropy))
    error = calibration.expected_error
    facts = f"calibration error {error:.4f}; {surprise:.3f} bits per token, {expected:.3f} expected"
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(facts, (0, 1), xytext=(0, 7), fontsize=9, **place)


def draw_confidences(axes: "Axes", calibration: Calibration) -> None:
    """Draw how many tokens there are in each bin of confidence."""
    bins = len(calibration.tokens)
    left = np.arange(bins) / bins
    axes.bar(left, calibration.tokens, width=1 / bins, align="edge", color="#9ac3de", ec="white")
    axes.set(xlabel="probability of the most probable token", ylabel="tokens")
    axes.yaxis.set_major_formatter(lambda value, place: f"{value:,.0f}")


def printable(text: str) -> str:
    """Give a name in one line; what is not to be seen in it becomes an escape."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


@contextmanager
def own_style() -> Iterator[None]:
    """Draw with matplotlib's defaults and STYLE, whatever the user's settings are."""
    import matplotlib.style

    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # shown as a box
        yield


def png_bytes(figure: "Figure") -> bytes:
    """Give a figure as a PNG file that holds no date and no version."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return stream.getvalue()
