"""A model's counts: made from its training text, kept as counts.safetensors, read and checked.

    1.log_probs, 1.log_backoff               (V,)  float32
    n.keys, n.log_probs, n.log_backoff       (M,)  int64, float32, float32

What they are, `charlm.predict.ngram` says. The longest n-grams have no log_backoff.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy

from charlm import storage
from charlm.errors import ModelError
from charlm.predict.kneser_ney import estimate
from charlm.predict.ngram import NgramPredictor, NgramTable
from charlm.tensors import read_arrays
from charlm.text.store import TokenPart
from charlm.text.tokenizers import Tokenizer

COUNTS = "counts.safetensors"
ORDERS = {"byte": 8, "char": 8, "bpe": 4, "word": 5}  # docs/benchmarks.md, "Counts"
MOST_TOKENS = 3_000_000  # to count: some 90 bytes each while that is done, 300 MB at most
TOKENS_PER_SECOND = 600_000  # of the time that may be spent: a third of the usual speed
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


def plan_counting(part: TokenPart, tokenizer: Tokenizer, seconds: float) -> Counting:
    """Say what will be counted where it may take so long: a function of size and time alone."""
    total = len(part.ids) - 1
    affordable = min(seconds * TOKENS_PER_SECOND, MOST_TOKENS)
    return Counting(ORDERS[tokenizer.kind], int(min(total, affordable)), total)


def count(part: TokenPart, tokenizer: Tokenizer, counting: Counting) -> NgramPredictor:
    """Make a predictor from the last ids of a text."""
    first = counting.total - counting.tokens
    ids = np.asarray(part.ids[first:])
    inside = part.boundaries[part.boundaries > first] - first
    boundaries = np.concatenate([[0], inside])
    tables = estimate(ids, boundaries, tokenizer.vocab_size, counting.order)
    return NgramPredictor(tables, tokenizer.boundary_id)


def write_counts(writer: storage.DirectoryWriter, predictor: NgramPredictor) -> None:
    """Keep the tables with a model."""
    arrays = {}
    for length, table in enumerate(predictor.tables, start=1):
        if length > 1:
            arrays[f"{length}.keys"] = table.keys
        arrays[f"{length}.log_probs"] = table.log_probs
        if table.log_backoff is not None:
            arrays[f"{length}.log_backoff"] = table.log_backoff
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    writer.write_bytes(COUNTS, safetensors.numpy.save(whole, metadata={"format": "np"}))


def read_counts(directory: Path, vocab_size: int, boundary_id: int) -> NgramPredictor:
    """Read the tables of a model; raise ModelError where they are damaged or another model's."""
    path = directory / COUNTS
    arrays = read_arrays(path, ModelError)
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
    if not np.isfinite(array).all():
        raise ModelError(f"{path}: {name} holds NaN or infinity")
    return array


def _check_keys(keys: np.ndarray, most: int, path: Path, length: int) -> None:
    """Raise ModelError unless keys increase, and each belongs to an n-gram that is there."""
    inside = not len(keys) or (keys[0] >= 0 and keys[-1] < most)
    if not inside or (np.diff(keys) <= 0).any():
        raise ModelError(f"{path}: {length}.keys are not those of n-grams in order")
