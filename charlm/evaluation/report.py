"""Scores and counts as short tables for people."""

from dataclasses import fields

from charlm.evaluation.metrics import Evaluation
from charlm.text.store import Counts


def evaluation_table(evaluation: Evaluation) -> str:
    """Lay out counts and scores in two columns."""
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
    width = max(len(value) for _, value in shown)
    return "\n".join(f"{name:20}{value:>{width}}" for name, value in shown)


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
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
