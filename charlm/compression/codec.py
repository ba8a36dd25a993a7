"""Bytes by a tokenizer and a Predictor into as few bytes as its predictions are worth, and back.

Both sides walk the same way, one stream and one id at a time by `step` alone, so that they come to
the same numbers, to the last bit, on the same machine. Legend: V vocabulary.
"""

import hashlib
from collections.abc import Callable

import numpy as np

from charlm.compression.arithmetic import MAX_TOTAL, RangeDecoder, RangeEncoder
from charlm.errors import ModelError
from charlm.predict.predictor import Prediction, Predictor
from charlm.text.raw import encode_bytes
from charlm.text.tokenizers import Tokenizer

Passed = Callable[[int], object]  # is told of every id how many bytes it is

SCALE = MAX_TOTAL >> 8  # counts for a probability of one: an id that is given none costs 40 bits
SAMPLED = 16  # steps that a fingerprint is taken from
STRIDE = 7919  # between their ids: a prime, so that they lie all over the vocabulary


def encode(data: bytes, tokenizer: Tokenizer, predictor: Predictor, passed: Passed) -> bytes:
    """Compress; what is left out, for `decode` to be told, is the length."""
    coder, state = RangeEncoder(), predictor.start(1)
    prediction = predictor.prediction(state)
    for ids in encode_bytes(data, tokenizer):
        for token in ids.tolist():
            counts = counts_of(prediction)
            coder.write(int(counts[:token].sum()), int(counts[token]), int(counts.sum()))
            prediction, state = predictor.step(np.array([token]), state)
            passed(len(tokenizer.pieces[token]))
    return coder.finish()


def decode(
    data: bytes, length: int, tokenizer: Tokenizer, predictor: Predictor, passed: Passed
) -> bytes:
    """Give the `length` bytes that were compressed; others, or fewer, where the data is wrong.

    Takes memory for what comes, whatever `length` claims.
    """
    coder, state, result = RangeDecoder(data), predictor.start(1), bytearray()
    prediction = predictor.prediction(state)
    while len(result) < length and not coder.exhausted:
        ends = np.cumsum(counts_of(prediction))
        total = int(ends[-1])
        token = int(np.searchsorted(ends, coder.aim(total), side="right"))
        piece = tokenizer.pieces[token]
        if not piece:  # the boundary, which no text holds
            break
        start = int(ends[token - 1]) if token else 0
        coder.read(start, int(ends[token]) - start, total)
        result += piece
        prediction, state = predictor.step(np.array([token]), state)
        passed(len(piece))
    return bytes(result)


def counts_of(prediction: Prediction) -> np.ndarray:
    """Turn a prediction for one stream into counts, (V,) int64: at least one for every id."""
    with np.errstate(over="ignore"):
        probs = np.exp(prediction.log_probs()[0])
    if not 0.5 < probs.sum() < 2:  # NaN, too, is refused
        raise ModelError("the model's predictions are no probabilities", "charlm info --verify")
    counts: np.ndarray = (probs * SCALE).astype(np.int64) + 1  # times a power of two: exact
    return counts


def fingerprint(predictor: Predictor) -> bytes:
    """Give 4 bytes of what a predictor says in a few steps, to the last bit, here and now.

    Where another machine has others, it cannot decode what was encoded here.
    """
    digest, state = hashlib.sha256(), predictor.start(1)
    for number in range(SAMPLED):
        token = number * STRIDE % predictor.vocab_size
        prediction, state = predictor.step(np.array([token]), state)
        digest.update(counts_of(prediction).astype("<i8").tobytes())
    return digest.digest()[:4]
