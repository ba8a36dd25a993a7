"""Tables for people: how they are laid out, and those of what a model is used for."""

from collections.abc import Iterable, Sequence

from charlm.benchmark.aims import Aim, Verdict
from charlm.benchmark.scoring_speed import LineScoring
from charlm.benchmark.serving_speed import Serving
from charlm.benchmark.starting import Start
from charlm.benchmark.typing_speed import Typing
from charlm.benchmark.writing import WaySpeed, Writing

GIGA, MEGA, MILLI = 1e9, 1e6, 1e-3
NOTHING = "-"

Row = tuple[str, ...]


def lay_out(head: Row, rows: Sequence[Row]) -> str:
    """Align the columns: the first to the left, the others to the right."""
    if not rows:
        return ""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in [head, *rows]:
        cells = [f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)]
        cells[0] = f"{row[0]:{widths[0]}}"
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def generation_tables(
    writing: Sequence[Writing],
    typing: Sequence[Typing],
    starts: Sequence[Start],
    scoring: Sequence[LineScoring],
    serving: Sequence[Serving],
    verdicts: Sequence[Verdict],
) -> Iterable[str]:
    """Lay out what a trained model's use takes, and what it is held to."""
    for one in writing:
        yield lay_out(
            (
                one.name,
                "tokens/s",
                "ratio",
                "kept",
                "of reading",
                f"{one.ways[0].streams if one.ways else 0} streams",
                "ratio",
            ),
            [
                *_textbook_rows(one),
                *map(_way_row, one.ways),
                _reading_row(one),
            ],
        )
    yield lay_out(
        ("model", "suggest p50", "p95", "step", "generate", "network alone"),
        [_typing_row(one) for one in typing],
    )
    yield lay_out(
        ("first output", "least", "median"),
        [
            (
                f"{one.command} {one.kind}".rstrip(),
                _milliseconds(one.least),
                _milliseconds(one.median),
            )
            for one in starts
        ],
    )
    yield lay_out(
        ("lines", "tokens each", "together", "one by one", "ratio", "compiled"),
        [_scoring_row(one) for one in scoring],
    )
    yield lay_out(
        ("server, tokens/s", "one client", "many", "", "ratio"),
        [_serving_row(one) for one in serving],
    )
    yield lay_out(
        ("aim", "wanted", "found", "", "stretch", "found", "", "by"),
        [_verdict_row(one) for one in verdicts],
    )


def _textbook_rows(one: Writing) -> Iterable[Row]:
    """Tell the textbook loop's speed, and what it is if the memory that it frees is kept."""
    kept = one.textbook_kept / one.textbook
    yield "textbook loop", f"{one.textbook:,.0f}", *[NOTHING] * 5
    yield "textbook loop, memory kept", f"{one.textbook_kept:,.0f}", f"{kept:.1f}", *[NOTHING] * 4


def _way_row(way: WaySpeed) -> Row:
    return (
        f"charlm, {way.way}",
        f"{way.tokens_per_second:,.0f}",
        f"{way.ratio:.1f}",
        f"{way.kept_ratio:.1f}",
        f"{way.share:.0%}",
        f"{way.many:,.0f}",
        f"{way.many_ratio:.1f}",
    )


def _reading_row(one: Writing) -> Row:
    """Tell the bound: every token reads its weights once."""
    most = one.reading / one.bytes_per_token
    name = f"reading {one.bytes_per_token / MEGA:.1f} MB at {one.reading / GIGA:.0f} GB/s"
    ratios = [f"{most / speed:.1f}" for speed in (one.textbook, one.textbook_kept)]
    return name, f"{most:,.0f}", *ratios, "100%", NOTHING, NOTHING


def _typing_row(one: Typing) -> Row:
    return (
        f"{one.kind}, {one.predictor}",
        _milliseconds(one.suggest_p50),
        _milliseconds(one.suggest_p95),
        _milliseconds(one.step),
        f"{one.tokens_per_second:,.0f} tokens/s",
        f"{one.network_tokens_per_second:,.0f} tokens/s",
    )


def _scoring_row(one: LineScoring) -> Row:
    compiled = NOTHING if one.compiled_ratio is None else f"{one.compiled_ratio:.1f}"
    return (
        one.kind,
        f"{one.tokens:.0f}",
        f"{one.together:,.0f} tokens/s",
        f"{one.one_by_one:,.0f} tokens/s",
        f"{one.ratio:.1f}",
        compiled,
    )


def _serving_row(one: Serving) -> Row:
    return (
        f"{one.kind}, {one.predictor}, {one.how}",
        f"{one.one:,.0f}",
        f"{one.many:,.0f}",
        f"by {one.clients}",
        f"{one.ratio:.1f}",
    )


def _verdict_row(one: Verdict) -> Row:
    aim, stretch = one.aim, one.aim.stretch
    row = (
        aim.name,
        _figure(aim, aim.wanted),
        _figure(aim, one.found),
        "met" if one.met else "MISSED",
    )
    if stretch is None:
        return (*row, NOTHING, NOTHING, NOTHING, one.way or NOTHING)
    said = "met" if one.stretched else "missed"
    return (*row, _figure(aim, stretch), _figure(aim, one.best), said, one.way)


def _figure(aim: Aim, value: float) -> str:
    return f"{value:.1f} x" if aim.unit == "times" else _milliseconds(value)


def _milliseconds(seconds: float) -> str:
    return f"{seconds / MILLI:,.2f} ms" if seconds < 10 * MILLI else f"{seconds / MILLI:,.0f} ms"
