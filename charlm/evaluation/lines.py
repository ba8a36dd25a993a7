"""Scoring many short texts, each on its own, side by side in lanes of like length."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from charlm.evaluation.scoring import score_stream, side_by_side
from charlm.predict.predictor import Predictor, lanes_of

BATCH = 1 << 14  # texts taken at a time, and sorted by length
NUMBERS = 1 << 14  # ids read together, padding included: more gain nothing; a longer text is alone
LANES = 256


def score_each(predictor: Predictor, texts: Iterable[np.ndarray]) -> Iterator[float]:
    """Give -log p of each text of ids, read from the start, in nats and in their order."""
    stream = iter(texts)
    while batch := list(islice(stream, BATCH)):
        nats = np.zeros(len(batch))
        order = sorted(range(len(batch)), key=lambda number: len(batch[number]))
        most = int(min(LANES, lanes_of(predictor)))
        for lanes in _lanes(order, [len(ids) for ids in batch], most):
            nats[lanes] = _score_lanes(predictor, [batch[number] for number in lanes])
        yield from nats.tolist()


def _lanes(order: list[int], lengths: list[int], most: int) -> Iterator[list[int]]:
    """Cut texts, from short to long, into groups whose padded ids are few enough."""
    group: list[int] = []
    for number in order:
        if (group and (len(group) + 1) * max(lengths[number], 1) > NUMBERS) or len(group) == most:
            yield group
            group = []
        group.append(number)
    if group:
        yield group


def _score_lanes(predictor: Predictor, texts: list[np.ndarray]) -> np.ndarray:
    if len(texts[-1]) > NUMBERS:  # alone, and however long: what is held is that of a chunk
        return np.array([score_stream(predictor, texts).nats])
    padded, real = side_by_side(texts)
    nats, _ = predictor.score(padded, predictor.start(len(texts)))
    return np.asarray(np.where(real, nats, 0.0).sum(axis=1, dtype=np.float64))
