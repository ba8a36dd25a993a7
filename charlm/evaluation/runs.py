"""Runs side by side: read from their directories, named apart, summed up, drawn into one file."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from charlm import storage
from charlm.errors import ModelError
from charlm.evaluation.curve import METRICS, TIMINGS, LearningCurve, read_learning_curve
from charlm.evaluation.overlay import Along, overlay_plot
from charlm.evaluation.plots import printable, require_matplotlib
from charlm.options import check

COLUMNS = {  # of the table: where it stands in a summary, and how it is shown
    "steps": ("steps", "{:,}"),
    "tokens": ("tokens", "{:,}"),
    "seconds": ("seconds", "{:,.1f}"),
    "training": ("training_bits_per_token", "{:.4f}"),
    "held out": ("held_out_bits_per_token", "{:.4f}"),
    "training loss": ("training_loss", "{:.4g}"),
    "held-out loss": ("held_out_loss", "{:.4g}"),
    "bits per byte": ("bits_per_byte", "{:.4f}"),
    "tokens/s": ("tokens_per_second", "{:,.0f}"),
}
HINT = "a run is a directory that charlm train wrote, such as runs/book"


@dataclass(frozen=True)
class RunSummary:
    """What a run came to so far; None for what it did not log.

    steps, tokens, seconds:      at its last point
    training_bits_per_token:     of the last point
    held_out_bits_per_token, bits_per_byte: of the best validation
    training_loss, held_out_loss: the same of a run on a series, whose loss is not in bits
    tokens_per_second:           the median
    """

    run: str
    steps: int
    tokens: int
    seconds: float | None
    training_bits_per_token: float | None
    held_out_bits_per_token: float | None
    bits_per_byte: float | None
    tokens_per_second: float | None
    training_loss: float | None = None
    held_out_loss: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return asdict(self)


def read_runs(
    directories: Sequence[str | Path], tell: Callable[[str], None] = lambda line: None
) -> dict[str, LearningCurve]:
    """Read the curves of run directories, by name; one given twice is read once.

    `tell` hears of runs without a point yet, which are left out, and of damaged lines. Raises
    ModelError for a directory that is no run, and where no run has a point.
    """
    given = {Path(os.path.realpath(one)): Path(one) for one in directories}
    curves = {}
    for name, path in zip(names_apart(list(given)), given.values(), strict=True):
        if not path.is_dir():
            raise ModelError(f"there is no run directory {path}", HINT)
        if not (path / METRICS).exists():
            inside = any(path.glob(f"*/{METRICS}"))
            hint = f"it holds runs: charlm plot {path}/*" if inside else HINT
            raise ModelError(f"{path} is no run: it holds no {METRICS}", hint)
        curve = read_learning_curve(path, tell)
        if curve is None:
            tell(f"{path} has logged nothing yet: it is left out")
        else:
            curves[name] = curve
    if not curves:
        raise ModelError("there is nothing to draw yet", "wait until a run has made 50 steps")
    return curves


def names_apart(paths: Sequence[Path]) -> list[str]:
    """Name paths by their last parts: as many of them as it takes to tell all apart."""
    depth, deepest = 1, max((len(path.parts) for path in paths), default=1)
    names = [path.name or str(path) for path in paths]
    while len(set(names)) < len(names) and depth < deepest:
        depth += 1
        twice = {name for name in names if names.count(name) > 1}
        names = [
            str(Path(*path.parts[-depth:])) if name in twice else name
            for name, path in zip(names, paths, strict=True)
        ]
    return names


def plot_runs(
    directories: Sequence[str | Path],
    out: str | Path,
    along: Along = "steps",
    tell: Callable[[str], None] = lambda line: None,
) -> list[RunSummary]:
    """Draw runs over one another into the file `out`, a PNG; give what each came to.

    A file that is there is replaced. Raises UsageError for another name than that of a PNG and
    without matplotlib, ModelError as `read_runs`, DiskError where the file cannot be written; then
    none of that name is there, or the old one.
    """
    check(
        Path(out).suffix.lower() == ".png",
        f"the name of the file to write must end in .png, not {out}",
    )
    require_matplotlib()
    curves = read_runs(directories, tell)
    if along == "seconds":
        curves = _timed(curves, tell)
    with storage.result_file(out) as stream:
        stream.write(overlay_plot(curves, along))
    return summaries(curves)


def _timed(
    curves: dict[str, LearningCurve], tell: Callable[[str], None]
) -> dict[str, LearningCurve]:
    """Leave out the runs of which no time is known; raise ModelError where that is all."""
    timed = {
        name: curve
        for name, curve in curves.items()
        if any(point.seconds is not None for point in (*curve.training, *curve.held_out))
    }
    for name in curves.keys() - timed.keys():
        tell(f"{name} has no times in its {TIMINGS}: it is left out")
    if not timed:
        raise ModelError(f"no run has a time in its {TIMINGS}", "draw against steps or tokens")
    return timed


def summary_table(runs: Sequence[RunSummary]) -> str:
    """Lay runs out in rows; a column that none has anything for is left out."""
    rows = [("run", *COLUMNS)]
    for run in runs:
        values = [(form, getattr(run, name)) for name, form in COLUMNS.values()]
        cells = ["" if value is None else form.format(value) for form, value in values]
        rows.append((printable(run.run), *cells))
    kept = [at for at in range(len(rows[0])) if any(row[at] for row in rows[1:])]
    widths = {at: max(len(row[at]) for row in rows) for at in kept}
    lines = []
    for row in rows:
        cells = [f"{row[at]:>{widths[at]}}" for at in kept[1:]]
        lines.append("  ".join([f"{row[0]:{widths[0]}}", *cells]))
    return "\n".join(lines)


def summaries(curves: Mapping[str, LearningCurve]) -> list[RunSummary]:
    """Sum up runs, in their order."""
    return [_summary(name, curve) for name, curve in curves.items()]


def _summary(name: str, curve: LearningCurve) -> RunSummary:
    last = max((*curve.training[-1:], *curve.held_out[-1:]), key=lambda point: point.step)
    best = min(curve.held_out, key=lambda point: point.nats, default=None)
    speeds = [p.tokens_per_second for p in curve.training if p.tokens_per_second is not None]
    summary = RunSummary(
        name,
        last.step,
        last.tokens,
        last.seconds,
        curve.training[-1].bits if curve.training else None,
        None if best is None else best.bits,
        None if best is None else best.bits_per_byte,
        median(speeds) if speeds else None,
    )
    if not curve.numbers:
        return summary
    return replace(
        summary,
        training_bits_per_token=None,
        held_out_bits_per_token=None,
        training_loss=curve.training[-1].nats if curve.training else None,
        held_out_loss=None if best is None else best.nats,
    )
