"""A model's counts: made from its training text, kept as counts.safetensors, read and checked.

    1.log_probs, 1.log_backoff               (V,)  float32
    n.keys, n.log_probs, n.log_backoff       (M,)  int64, float32, float32

What they are, `charlm.predict.ngram` says. The longest n-grams have no log_backoff.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from charlm import storage
from charlm.errors import ModelError, UsageError
from charlm.options import from_json
from charlm.predict.kneser_ney import estimate
from charlm.predict.ngram import NgramPredictor, NgramTable
from charlm.tensors import in_pieces, map_arrays
from charlm.text.store import TokenPart
from charlm.text.tokenizers import Tokenizer

COUNTS = "counts.safetensors"
ORDERS = {"byte": 8, "char": 8, "bpe": 4, "word": 5}  # docs/benchmarks.md, "Counts"
MOST_TOKENS = 20_000_000  # to count: 300 MB of memory at most (docs/benchmarks.md, "Counts")
TOKENS_PER_SECOND = 800_000  # of the time that may be spent: a third of the usual speed
PIECE = 1 << 20  # numbers that are checked at a time
LONGEST = 32


@dataclass(frozen=True)
class Counting:
    """How a text is counted: n-grams of up to `order` of its last `tokens` ids, of `total`."""

    order: int
    tokens: int
    total: int

    @property
    def cut(self) -> bool:
        """Tell whether a part of the text is left out."""
        return self.tokens < self.total


@dataclass(frozen=True)
class Counted:
    """What was counted: config.json keeps it.

    order:  n-grams of up to so many ids there are,
    whole:  of up to so many also those seen once
    tokens: of the end of the text that were counted, of `total`
    """

    order: int
    whole: int
    tokens: int
    total: int

    @property
    def in_words(self) -> str:
        """Say it in half a sentence."""
        last = "" if self.tokens == self.total else f"the last {self.tokens:,} of "
        once = ""
        if self.whole < self.order:
            lengths = f"{self.whole + 1} to {self.order}"
            once = f", of {lengths} without those seen once"
        return f"n-grams of up to {self.order} tokens{once}, from {last}{self.total:,} tokens"

    def cuts(self, order: int) -> Iterator[str]:
        """Say what was left out of n-grams of up to `order` ids of the whole text, and why."""
        if self.tokens < self.total:
            yield (
                f"counted the last {self.tokens:,} of {self.total:,} tokens, to stay in time and "
                "memory"
            )
        if self.whole < self.order:
            yield (
                f"n-grams of {self.whole + 1} to {self.order} tokens seen once left out, to stay "
                "in memory"
            )
        if self.whole == 1 and self.order < order:
            yield f"counted n-grams of up to {self.order} tokens, to stay in memory"


def read_counted(config: dict[str, Any]) -> Counted | None:
    """Read what a model's configuration tells of its counts; None where it tells nothing."""
    found = config.get("counts")
    if found is None:
        return None
    try:
        return from_json(Counted, found)
    except (UsageError, AttributeError, TypeError) as fault:
        raise ModelError(f"config.json does not say what was counted: {fault}") from fault


def plan_counting(part: TokenPart, tokenizer: Tokenizer, seconds: float) -> Counting:
    """Say what will be counted where it may take so long: a function of size and time alone."""
    total = len(part.ids) - 1
    affordable = min(seconds * TOKENS_PER_SECOND, MOST_TOKENS)
    return Counting(ORDERS[tokenizer.kind], int(min(total, affordable)), total)


def count(
    part: TokenPart, tokenizer: Tokenizer, counting: Counting
) -> tuple[NgramPredictor, Counted]:
    """Make a predictor from the last ids of a text; tell what was counted for it."""
    first = counting.total - counting.tokens
    inside = part.boundaries[part.boundaries > first] - first
    boundaries = np.concatenate([[0], inside])
    part.release()  # the table of documents may be large
    made = estimate(
        np.asarray(part.ids[first:]),
        boundaries,
        tokenizer.vocab_size,
        counting.order,
        release=part.release,
    )
    counted = Counted(len(made.tables), made.whole, counting.tokens, counting.total)
    return NgramPredictor(made.tables, tokenizer.boundary_id), counted


def write_counts(writer: storage.DirectoryWriter, predictor: NgramPredictor) -> None:
    """Keep the tables with a model."""
    arrays = {}
    for length, table in enumerate(predictor.tables, start=1):
        if length > 1:
            arrays[f"{length}.keys"] = table.keys
        arrays[f"{length}.log_probs"] = table.log_probs
        if table.log_backoff is not None:
            arrays[f"{length}.log_backoff"] = table.log_backoff
    with writer.open_binary(COUNTS, sum(array.nbytes for array in arrays.values())) as stream:
        for piece in in_pieces(arrays):
            stream.write(piece)


def read_counts(directory: Path, vocab_size: int, boundary_id: int) -> NgramPredictor:
    """Map the tables of a model; raise ModelError where they are damaged or another model's."""
    path = directory / COUNTS
    arrays = map_arrays(path, ModelError)
    order = sum(name.endswith(".log_probs") for name in arrays)
    if not 1 <= order <= LONGEST:
        raise ModelError(f"{path} holds n-grams of {order} lengths, not of 1 to {LONGEST}")
    tables: list[NgramTable] = []
    for length in range(1, order + 1):
        keys = np.arange(vocab_size)
        if length > 1:
            keys = _taken(arrays, f"{length}.keys", np.int64, None, path)
            _check_keys(keys, len(tables[-1].keys) * vocab_size, path, length)
        left = None
        log_probs = _taken(arrays, f"{length}.log_probs", np.float32, len(keys), path)
        if length < order:
            left = _taken(arrays, f"{length}.log_backoff", np.float32, len(keys), path)
        tables.append(NgramTable(keys, log_probs, left))
    if arrays:
        raise ModelError(f"{path} holds tensors that are none of a count: {sorted(arrays)[:3]}")
    return NgramPredictor(tables, boundary_id)


def _taken(
    arrays: dict[str, np.ndarray], name: str, kind: type, length: int | None, path: Path
) -> np.ndarray:
    """Take an array out; raise ModelError unless it has the type and length, and is finite."""
    array = arrays.pop(name, None)
    if array is None:
        raise ModelError(f"{path} lacks {name}", "copy the whole model directory")
    if array.dtype != kind or array.ndim != 1 or length not in (None, len(array)):
        raise ModelError(f"{path}: {name} has another type or length than the model's")
    if not all(np.isfinite(array[start : start + PIECE]).all() for start in _starts(array)):
        raise ModelError(f"{path}: {name} holds NaN or infinity")
    return array


def _check_keys(keys: np.ndarray, most: int, path: Path, length: int) -> None:
    """Raise ModelError unless keys increase, and each belongs to an n-gram that is there."""
    inside = not len(keys) or (keys[0] >= 0 and keys[-1] < most)
    pieces = (keys[start : start + PIECE + 1] for start in _starts(keys))
    rising = all((piece[1:] > piece[:-1]).all() for piece in pieces)
    if not inside or not rising:
        raise ModelError(f"{path}: {length}.keys are not those of n-grams in order")


def _starts(array: np.ndarray) -> range:
    return range(0, len(array), PIECE)
