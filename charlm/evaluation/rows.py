"""An evaluation in rows: of tokens, of lines or of documents, as they pass.

Lines are read with state carried, as the whole text is; a token that reaches over a line's end
belongs to the line in which it begins. Bytes are those that the tokens add: in the closed word form
an unknown word has the five of <unk>, and white space that it does not keep has none, so that rows
sum to the text as it writes it and not to the `bytes` of the whole evaluation.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from charlm.evaluation.tokens import TokenScore

By = Literal["token", "line", "document"]
Row = dict[str, Any]
Scores = Iterable[TokenScore | None]

COLUMNS: dict[By, tuple[str, ...]] = {
    "token": ("token", "nats", "entropy", "rank"),
    "line": ("line", "bytes", "tokens", "nats", "bits_per_byte", "text"),
    "document": ("document", "bytes", "tokens", "nats", "bits_per_byte"),
}


def rows_as_they_pass(
    by: By, scores: Scores, lossless: bool, emit: Callable[[Row], object]
) -> Iterator[TokenScore | None]:
    """Give the scores on, and each row, as COLUMNS says, to `emit` when it is complete.

    lossless: False for the closed word form, whose rows have no bits per byte
    """
    if by == "token":
        return _tokens(scores, emit)
    return _sums(scores, lossless, emit, by_line=by == "line")


def as_text(row: Row, by: By) -> str:
    """Write a row with tabs; control characters of the text as escapes, nothing for None."""
    return "\t".join(_shown(row[column]) for column in COLUMNS[by])


def _tokens(scores: Scores, emit: Callable[[Row], object]) -> Iterator[TokenScore | None]:
    for score in scores:
        if score is not None:
            text = score.piece.decode("utf-8", "backslashreplace")
            emit({"token": text, "nats": score.nats, "entropy": score.entropy, "rank": score.rank})
        yield score


def _sums(
    scores: Scores, lossless: bool, emit: Callable[[Row], object], by_line: bool
) -> Iterator[TokenScore | None]:
    """Sum the nats of each line, or of each document."""
    number, text, size, tokens, nats = 1, bytearray(), 0, 0, 0.0

    def end() -> None:
        nonlocal number, size, tokens, nats
        bits = nats / math.log(2) / size if lossless and size else None
        row: Row = {"bytes": size, "tokens": tokens, "nats": nats, "bits_per_byte": bits}
        if by_line:
            row |= {"line": number, "text": text.decode("utf-8", "replace").rstrip("\r\n")}
        else:
            row["document"] = number
        emit(row)
        number, size, tokens, nats = number + 1, 0, 0, 0.0
        text.clear()

    for score in scores:
        if score is None:
            if size or tokens or not by_line:
                end()
        else:
            tokens, nats = tokens + 1, nats + score.nats
            *whole, rest = score.piece.split(b"\n") if by_line else [score.piece]
            for part in whole:
                size += len(part) + 1
                text += part
                end()
            size += len(rest)
            if by_line:
                text += rest
        yield score


def _shown(value: Any) -> str:  # noqa: ANN401
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, str):
        escapes = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
        return "".join(escapes.get(each, each) for each in value)
    return str(value)
