"""Token ids to measure with: those of a text, or synthetic ones that are as unevenly frequent."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from charlm.language.corpus import open_or_prepare
from charlm.language.dialogue import Tell
from charlm.language.request import TrainRequest

LENGTH = 200_000  # synthetic ids
FLATTENING = 2.7  # Mandelbrot's: the commonest words are less common than 1 / rank says
WINDOWS = 64  # of each stream, at most, are read while measuring

Kind = Literal["char", "word"]


@dataclass(frozen=True)
class Ids:
    """Ids (L,) of a vocabulary."""

    ids: np.ndarray
    vocab_size: int


def synthetic_ids(kind: Kind, vocab_size: int, length: int = LENGTH, seed: int = 1) -> Ids:
    """Draw ids: words by the Zipf-Mandelbrot law, lowest ids commonest, characters evenly."""
    random = np.random.default_rng(seed)
    if kind == "char":
        return Ids(random.integers(vocab_size, size=length).astype(np.int64), vocab_size)
    weights = 1.0 / (np.arange(vocab_size) + 1 + FLATTENING)
    edges = np.cumsum(weights / weights.sum())
    drawn = np.searchsorted(edges, random.random(length))
    return Ids(np.minimum(drawn, vocab_size - 1).astype(np.int64), vocab_size)


def text_request(kind: Kind) -> TrainRequest:
    """Ask for a text's characters, or for its words in the closed form of published tables."""
    if kind == "char":
        return TrainRequest(tokenizer="char")
    return TrainRequest(tokenizer="word", unknown="unk")


def text_ids(kind: Kind, path: str, tell: Tell) -> Ids:
    """Read the ids of a text; raise CorpusError where it cannot be read."""
    store = open_or_prepare([path], text_request(kind), tell)
    return Ids(store.train.ids, store.tokenizer.vocab_size)


def whole_windows(ids: np.ndarray, batch: int, window: int) -> np.ndarray:
    """Take so many ids that every batch is whole, (B, T); a short text is read again."""
    number = max(1, min(WINDOWS, (len(ids) - 1) // (batch * window)))
    return np.resize(ids, number * batch * window + 1)
