"""Scores and counts as short tables for people."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from charlm.evaluation.metrics import Evaluation
from charlm.text.store import Counts

HUGE = 1e9  # from which a number has an exponent: one of perplexity may have 300 digits


def evaluation_table(evaluation: Evaluation) -> str:
    """Lay out counts and scores in two columns."""
    interval = evaluation.bits_per_byte_interval or evaluation.token_perplexity_interval
    rows: list[tuple[str, float | int | None]] = [
        ("documents", evaluation.documents),
        ("bytes", evaluation.bytes),
        ("characters", evaluation.characters),
        ("words", evaluation.words),
        ("tokens", evaluation.tokens),
        ("unknown tokens", evaluation.unknown_tokens or None),
        ("bits per byte", evaluation.bits_per_byte),
        ("bits per character", evaluation.bits_per_character),
        ("token perplexity", evaluation.token_perplexity),
        ("word perplexity", evaluation.word_perplexity),
    ]
    shown = [(name, _number(value)) for name, value in rows if value is not None]
    if interval is not None:
        name = "bits per byte" if evaluation.lossless else "token perplexity"
        place = [row[0] for row in shown].index(name) + 1
        low, high = (_number(value) for value in interval)
        shown.insert(place, ("95 % interval", f"{low} to {high}"))
    width = max(len(value) for _, value in shown)
    lines = [f"{name:20}{value:>{width}}" for name, value in shown]
    if len(evaluation.by_predictor) > 1:
        lines += ["", *_side_by_side(evaluation.by_predictor)]
    return "\n".join(lines)


def examination_table(facts: Mapping[str, Any]) -> str:
    """Lay out what a closer look found, of the keys of its JSON that are there."""
    rows = [
        ("top-1 accuracy", facts.get("top1_accuracy"), "{:.2%}"),
        ("top-5 accuracy", facts.get("top5_accuracy"), "{:.2%}"),
        ("entropy in nats", facts.get("entropy"), "{:.4f}"),
        ("keystrokes saved", facts.get("keystrokes_saved"), "{:.1%}"),
        ("words typed", facts.get("words_typed"), "{:,}"),
    ]
    shown = [(name, form.format(value)) for name, value, form in rows if value is not None]
    lines = [f"{name:20}{value:>12}" for name, value in shown]
    lines += _suggested(facts.get("suggestions"))
    return "".join("\n" + line for line in ["", *lines]) if lines else ""


def _suggested(facts: Mapping[str, Any] | None) -> list[str]:
    """Lay out how often suggested words came, beside the probabilities given to them."""
    if not facts or not facts["count"]:
        return []
    rows = [
        f"{one['given']:>8.1%}  {one['came']:>8.1%}  {one['count']:>8,}" for one in facts["bins"]
    ]
    title = f"{'given':>8}  {'came':>8}  {'words':>8}    suggested before their first letter"
    return ["", title, *rows, f"expected error{facts['expected_error']:>18.2%}"]


def _side_by_side(evaluations: Mapping[str, Evaluation]) -> list[str]:
    """Lay out what each predictor makes of the text, a row for each."""
    rows = [["predictor", "bits per byte", "token perplexity", "word perplexity"]]
    for name, one in evaluations.items():
        scores = (one.bits_per_byte, one.token_perplexity, one.word_perplexity)
        rows.append([name, *("" if score is None else _number(score) for score in scores)])
    kept = [column for column in range(4) if any(row[column] for row in rows[1:])]
    width = max(20, *(len(row[0]) for row in rows))
    return [
        "".join([f"{row[0]:{width}}", *(f"  {row[column]:>16}" for column in kept[1:])])
        for row in rows
    ]


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if value >= HUGE:
        return f"{value:.3g}"
    return f"{value:,.4f}" if value < 1000 else f"{value:,.1f}"


def counts_table(parts: dict[str, Counts]) -> str:
    """Lay out what the parts of a corpus measure, a column for each."""
    rows = [["", *parts]]
    for name in (field.name for field in fields(Counts)):
        values = [getattr(counts, name) for counts in parts.values()]
        if any(values):
            rows.append([name.replace("_", " "), *(f"{value:,}" for value in values)])
    return "\n".join(
        "".join([f"{row[0]:16}", *(f"{cell:>16}" for cell in row[1:])]) for row in rows
    )
