"""Runs over one another as PNG: loss in bits, learning rate, tokens per second. Needs matplotlib.

Each run has a colour, and from the eighth on a dash, of its own. Its training is a line, its
validations are dots.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from charlm.evaluation.curve import LearningCurve, Point
from charlm.evaluation.plots import (
    COLOURS,
    own_style,
    png_bytes,
    printable,
    require_matplotlib,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Along = Literal["steps", "tokens", "seconds"]
Value = Callable[[Point], float | None]
Drawn = tuple[Sequence[float], Sequence[float]]  # x and y of a line

WIDTH, PANEL, LEGEND_ROW = 11.0, 3.5, 0.2  # inches: of the figure; heights
DASHES: tuple[Any, ...] = (
    "solid",
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (2.5, 1)),
    (0, (6, 1.2, 1.2, 1.2, 1.2, 1.2)),
    (0, (9, 3)),
    (0, (1.2, 3)),
)
ALONG: dict[Along, tuple[str, Value]] = {
    "steps": ("steps", lambda point: point.step),
    "tokens": ("tokens learned from", lambda point: point.tokens),
    "seconds": ("seconds in the training loop", lambda point: point.seconds),
}
LONGEST_NAME = 40
SOME = 2 * len(COLOURS)  # runs that have room for dots
FEW = 40  # validations of which each has its dot
ORDERS = 100  # by which losses differ that are drawn over a logarithmic axis
BEGINNING = 0.08  # of a curve: where it falls so far that the rest would be flat
Curves = Mapping[str, LearningCurve]


def overlay_plot(curves: Curves, along: Along = "steps") -> bytes:
    """Draw the runs, by their names, against steps, tokens or seconds; give a PNG.

    A panel that no run has anything for is left out. Raises UsageError without matplotlib.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    panels = _panels(curves)
    rows = (len(panels) + 1) // 2
    several = len(curves) > 1
    columns = _legend_columns(curves)
    legend = LEGEND_ROW * -(-len(curves) // columns) if several else 0.0
    with own_style():
        figure = Figure(figsize=(WIDTH, 0.6 + PANEL * rows + legend), layout="constrained")
        title = f"{len(curves)} runs" if several else next(iter(curves))
        figure.suptitle(printable(title), fontsize=12, parse_math=False)
        grid = figure.add_gridspec(rows, 2)
        for number, draw in enumerate(panels):
            alone = number == len(panels) - 1 and number % 2 == 0
            place = grid[number // 2, :] if alone else grid[number // 2, number % 2]
            axes = figure.add_subplot(place)
            draw(axes, curves, along)
            _label(axes, along)
        if several:
            _name_runs(figure, curves, columns)
        return png_bytes(figure)


def _panels(curves: Curves) -> list[Callable[["Axes", Curves, Along], None]]:
    """Choose the panels that have something to show; the loss always has."""
    held_out = [point for curve in curves.values() for point in curve.held_out]
    training = [point for curve in curves.values() for point in curve.training]
    wanted = {
        _draw_loss: True,
        _draw_bits_per_byte: any(point.bits_per_byte is not None for point in held_out),
        _draw_rate: any(point.learning_rate is not None for point in training),
        _draw_speed: any(point.tokens_per_second is not None for point in training),
    }
    return [draw for draw, there in wanted.items() if there]


def _draw_loss(axes: "Axes", curves: Curves, along: Along) -> None:
    from matplotlib.lines import Line2D

    drawn: list[Drawn] = []
    for number, curve in enumerate(curves.values()):
        style = _style(number, len(curves))
        faint = style | _faint(len(curves)) if curve.held_out else style
        drawn += _draw(axes, curve.training, along, curve.loss, faint)
        dots = style | _dots(curve.held_out, len(curves))
        if len(curves) == 1:
            dots["color"] = COLOURS[1]
        drawn += _draw(axes, curve.held_out, along, curve.loss, dots)
    axes.set_title("Loss")
    kinds = {curve.numbers for curve in curves.values()}
    units = ["bits per token"] * (False in kinds) + ["the head's loss, scaled"] * (True in kinds)
    axes.set_ylabel(" / ".join(units))
    losses = [y for _, found in drawn for y in found]
    if kinds == {True} and losses and 0 < min(losses) < max(losses) / ORDERS:
        axes.set_yscale("log")  # a series without noise is learned ever better
        drawn = []
    _show_the_rest(axes, drawn)
    if any(curve.held_out for curve in curves.values()):
        first, other = COLOURS[:2] if len(curves) == 1 else ("#444444", "#444444")
        key = Line2D([], [], color=first, **_faint(len(curves)))
        dots = {"color": other} | _dots((), len(curves))
        axes.legend([key, Line2D([], [], **dots)], ["training", "held out"], loc="upper right")


def _draw_bits_per_byte(axes: "Axes", curves: Curves, along: Along) -> None:
    drawn: list[Drawn] = []
    for number, curve in enumerate(curves.values()):
        style = _style(number, len(curves)) | _dots(curve.held_out, len(curves))
        if len(curves) == 1:
            style["color"] = COLOURS[1]
        own = _draw(axes, curve.held_out, along, lambda point: point.bits_per_byte, style)
        drawn += own
        if len(curves) == 1 and own:
            last = own[0][0][-1], own[0][1][-1]
            shown: dict[str, Any] = {"ha": "right", "textcoords": "offset points"}
            axes.annotate(f"{last[1]:.3f}", last, xytext=(0, 8), color=COLOURS[1], **shown)
    axes.set_title("Held-out text")
    axes.set_ylabel("bits per byte")
    _show_the_rest(axes, drawn)


def _draw_rate(axes: "Axes", curves: Curves, along: Along) -> None:
    for number, curve in enumerate(curves.values()):
        style = _style(number, len(curves))
        _draw(axes, curve.training, along, lambda point: point.learning_rate, style)
    axes.set_title("Learning rate")
    axes.set_ylabel("learning rate")
    axes.ticklabel_format(axis="y", scilimits=(-4, 3))
    axes.set_ylim(bottom=0)


def _draw_speed(axes: "Axes", curves: Curves, along: Along) -> None:
    from matplotlib.ticker import EngFormatter

    for number, curve in enumerate(curves.values()):
        style = _style(number, len(curves))
        _draw(axes, curve.training, along, lambda point: point.tokens_per_second, style)
    axes.set_title("Speed")
    axes.set_ylabel("tokens per second")
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_ylim(bottom=0)


def _style(number: int, runs: int) -> dict[str, Any]:
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    width = 1.5 if runs <= len(COLOURS) else 1.0
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": dash, "linewidth": width}


def _faint(runs: int) -> dict[str, Any]:
    return {"alpha": 0.55} if runs <= SOME else {"alpha": 0.3, "linewidth": 0.6}


def _dots(points: Sequence[Point], runs: int) -> dict[str, Any]:
    """Mark the validations, unless there are so many that dots hide the lines."""
    few = runs <= SOME and len(points) <= FEW
    return {"marker": "o", "markersize": 4} if few else {}


def _draw(
    axes: "Axes", points: Sequence[Point], along: Along, value: Value, style: dict[str, Any]
) -> list[Drawn]:
    """Draw a value of points; those that lack it, or their place, are left out."""
    at = ALONG[along][1]
    found = [(x, y) for p in points if (x := at(p)) is not None and (y := value(p)) is not None]
    if not found:
        return []
    xs, ys = zip(*found, strict=True)
    style = style | ({"marker": "o", "markersize": 4} if len(found) < 3 else {})
    axes.plot(xs, ys, **style)
    return [(xs, ys)]


def _show_the_rest(axes: "Axes", drawn: Sequence[Drawn]) -> None:
    """Let curves begin above the picture where their beginning would flatten the rest."""
    rest = []
    for xs, ys in drawn:
        limit = xs[0] + BEGINNING * (xs[-1] - xs[0])
        rest += [y for x, y in zip(xs, ys, strict=True) if x >= limit]
    if not rest:
        return
    low, high = min(rest), max(rest)
    bottom, top = axes.get_ylim()
    if high > low and top - low > 1.3 * (high - low):
        axes.set_ylim(max(bottom, low - 0.08 * (high - low)), high + 0.12 * (high - low))


def _label(axes: "Axes", along: Along) -> None:
    from matplotlib.ticker import EngFormatter

    axes.set_xlabel(ALONG[along][0])
    axes.margins(x=0.02)
    if along != "seconds":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 200k, 1M


def _legend_columns(curves: Curves) -> int:
    longest = max(len(_shortened(name)) for name in curves)
    return max(1, min(len(curves), 6, int(WIDTH / (0.55 + 0.075 * longest))))


def _name_runs(figure: "Figure", curves: Curves, columns: int) -> None:
    """Name all runs below the panels; names stand as they are, also `$x$` and `_x`."""
    from matplotlib.lines import Line2D

    keys = [Line2D([], [], **_style(number, len(curves))) for number in range(len(curves))]
    legend = figure.legend(
        keys,
        ["run"] * len(keys),
        loc="outside lower center",
        ncols=columns,
        fontsize=8.5,
        handlelength=3,
    )
    for text, name in zip(legend.get_texts(), curves, strict=True):
        text.set_parse_math(False)
        text.set_text(_shortened(name))


def _shortened(name: str) -> str:
    """Give a name in one line, without its middle where it is long: runs often differ at ends."""
    shown, half = printable(name), LONGEST_NAME // 2
    return shown if len(shown) <= LONGEST_NAME else f"{shown[: half - 1]}…{shown[-half:]}"
