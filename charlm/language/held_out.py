"""The held-out text of a model directory, as ids: its sizes and ids are checked before use."""

from pathlib import Path
from typing import Any

import numpy as np

from charlm.errors import ModelError
from charlm.text.store import COLUMNS, TokenPart, id_type, open_part

PIECE = 1 << 24  # ids compared at once
MOST = 1 << 48  # ids or documents: more than any disk holds


def open_held_out(directory: Path, name: str, description: Any, vocab_size: int) -> TokenPart:  # noqa: ANN401
    """Map the ids into memory; raise ModelError if they are not ids of a text of this model's."""
    path = directory / f"{name}.bin"
    kind = id_type(vocab_size)
    if not isinstance(description, dict) or description.get("type") != kind.str:
        raise ModelError(f"{path} is not described as ids of this model's tokenizer")
    length: Any = description.get("ids")
    documents: Any = description.get("documents")
    if not _is_size(length) or not _is_size(documents) or length < 1:
        raise ModelError(f"{path} is described by impossible sizes")
    _must_have(path, length * kind.itemsize)
    _must_have(directory / f"{name}.documents.bin", (documents + 1) * len(COLUMNS) * 8)
    part = open_part(directory, name, description, ModelError)
    for start in range(0, length, PIECE):
        if int(part.ids[start : start + PIECE].max()) >= vocab_size:
            raise ModelError(f"{path} holds ids that the tokenizer does not have")
    if not _is_table(part.documents, length):
        raise ModelError(f"{directory / name}.documents.bin is not a table of its documents")
    return part


def _is_size(value: Any) -> bool:  # noqa: ANN401
    return type(value) is int and 0 <= value <= MOST


def _must_have(path: Path, size: int) -> None:
    try:
        found = path.stat().st_size
    except OSError as fault:
        raise ModelError(f"cannot read {path}: {fault.strerror}") from fault
    if found != size:
        raise ModelError(f"{path} has {found:,} bytes, not the {size:,} of its description")


def _is_table(rows: np.ndarray, length: int) -> bool:
    """Tell whether the documents lie one behind the other and measure what texts can.

    Between a document's last id and the next boundary there is nothing; in the closed word form a
    line's end can be that boundary itself.
    """
    position, tokens = rows[:, 0], rows[:-1, 5]
    if rows.min() < 0 or position.max() >= length or (len(tokens) and tokens.max() > length):
        return False
    behind = position[1:] - position[:-1] - tokens
    ends = position[0] == 0 and position[-1] == length - 1
    return bool(ends and ((behind == 0) | (behind == 1)).all())
