"""How often the token that came was the first guess of a predictor, or among its first five."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from charlm.evaluation.tokens import TokenScore

FIRST = 5


@dataclass(frozen=True)
class Accuracy:
    """Sums over tokens; `entropy` is what the predictor expected the nats to be."""

    tokens: int = 0
    first: int = 0
    among_five: int = 0
    entropy: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Give shares, and the mean entropy in nats per token; None where there are no tokens."""
        if not self.tokens:
            return {"top1_accuracy": None, "top5_accuracy": None, "entropy": None}
        return {
            "top1_accuracy": self.first / self.tokens,
            "top5_accuracy": self.among_five / self.tokens,
            "entropy": self.entropy / self.tokens,
        }


class AccuracyCounter:
    """Counts the accuracy of tokens as they pass."""

    def __init__(self) -> None:
        self.result = Accuracy()

    def watch(self, scores: Iterable[TokenScore | None]) -> Iterator[TokenScore | None]:
        """Give the tokens on, None between documents too, and count those that are asked for."""
        tokens = first = among = 0
        entropies: list[float] = []
        try:
            for score in scores:
                if score is not None:
                    tokens, first = tokens + 1, first + (score.rank == 1)
                    among += score.rank <= FIRST
                    entropies.append(score.entropy)
                yield score
        finally:
            self.result = Accuracy(tokens, first, among, math.fsum(entropies))
