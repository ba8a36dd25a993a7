"""What was predicted at each token of a text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenScore:
    """One token of a text and what was predicted there."""

    piece: bytes  # the bytes it adds to the text
    nats: float  # -log p of it
    entropy: float  # of the whole prediction there, in nats
    rank: int  # of the token among all, 1 for the most probable
    confidence: float  # probability of the most probable token
