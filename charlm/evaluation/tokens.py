"""What was predicted at each token of a text.

Legend: N tokens, n of them at a time, V vocabulary.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from charlm.predict.positions import at_positions
from charlm.predict.predictor import Predictor
from charlm.text.tokenizers import Tokenizer


@dataclass(frozen=True)
class TokenScore:
    """One token of a text and what was predicted there."""

    piece: bytes  # the bytes it adds to the text
    nats: float  # -log p of it
    entropy: float  # of the whole prediction there, in nats
    rank: int  # of the token among all, 1 for the most probable
    confidence: float  # probability of the most probable token


def token_scores(
    predictor: Predictor, tokenizer: Tokenizer, documents: Iterable[Iterable[np.ndarray]]
) -> Iterator[TokenScore | None]:
    """Ask for the whole prediction at each token; give None after each document.

    documents: chunks of ids (N,), each document read from the start
    """
    for chunks in documents:
        state, before = predictor.start(1), tokenizer.boundary_id
        for chunk in chunks:
            for ids, prediction, after in at_positions(predictor, chunk, state):
                scores = zip(ids.tolist(), *_facts(ids, prediction.log_probs()), strict=True)
                for token, nats, entropy, rank, confidence in scores:
                    piece = _piece(tokenizer, token, before)
                    yield TokenScore(piece, nats, entropy, rank, confidence)
                    before = token
                state = after
        yield None


def _facts(ids: np.ndarray, log_probs: np.ndarray) -> tuple[list[float], ...]:
    """Give nats, entropy, rank and the largest probability, for ids (n,) and log p (n, V)."""
    own = np.take_along_axis(log_probs, ids[:, None], axis=1)  # (n, 1)
    probs = np.exp(log_probs, dtype=np.float32)
    surprise = np.where(probs > 0, -log_probs, np.float32(0))
    entropy = np.einsum("nv,nv->n", probs, surprise)
    rank = 1 + (log_probs > own).sum(axis=1)
    confidence = np.minimum(probs.max(axis=1), 1)
    return (-own[:, 0]).tolist(), entropy.tolist(), rank.tolist(), confidence.tolist()


def _piece(tokenizer: Tokenizer, token: int, before: int) -> bytes:
    """Give what a token adds to the text; the closed form's pieces are bare words."""
    piece = tokenizer.pieces[token]
    if tokenizer.closed and tokenizer.boundary_id not in (before, token):
        return b" " + piece
    return piece
