"""The shape of a language network, known without PyTorch and without allocating anything.

E embedding, H hidden units, G gates (4 LSTM, 3 GRU, 1 RNN), V vocabulary.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from charlm.options import check

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
EULER = 0.5772  # 1 + 1/2 + ... + 1/n is nearly log n + this


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of a language network and its dropout."""

    vocab_size: int
    embed_size: int
    hidden_size: int
    num_layers: int = 1
    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    tie_weights: bool = True
    input_dropout: float = 0.0
    layer_dropout: float = 0.0
    output_dropout: float = 0.0
    embed_dropout: float = 0.0
    weight_dropout: float = 0.0
    cutoffs: tuple[int, ...] = ()  # where clusters of ids begin; none: the full softmax

    def __post_init__(self) -> None:
        for name in ("vocab_size", "embed_size", "hidden_size", "num_layers"):
            check(getattr(self, name) >= 1, f"{name} must be 1 or more, not {getattr(self, name)}")
        for name in ("input", "layer", "output", "embed", "weight"):
            rate = getattr(self, f"{name}_dropout")
            check(0 <= rate < 1, f"{name}_dropout must be in [0, 1), not {rate}")
        edges = (0, *self.cutoffs, self.vocab_size)
        check(
            all(start < end for start, end in pairwise(edges)),
            f"cutoffs must rise from 1 to {self.vocab_size - 1} at most, not {self.cutoffs}",
        )

    @property
    def head_size(self) -> int:
        """Give the size of what the head takes: E with tied weights, H without."""
        return self.embed_size if self.tie_weights else self.hidden_size

    @property
    def projects(self) -> bool:
        """Tell whether a projection stands between the last layer and the head."""
        return self.tie_weights and self.hidden_size != self.embed_size

    @property
    def clusters(self) -> list[tuple[int, int]]:
        """Give the first id of each cluster beyond the shortlist, and the one after its last."""
        return list(pairwise((*self.cutoffs, self.vocab_size)))

    @property
    def head_rows(self) -> float:
        """Count the rows of the head that learning one id takes: V, or fewer with cutoffs.

        How many is what is expected of ids sorted by frequency that follow Zipf's law.
        """
        if not self.cutoffs:
            return self.vocab_size
        rows = float(self.cutoffs[0] + len(self.cutoffs))
        for start, end in self.clusters:
            share = zipf_share(end, self.vocab_size) - zipf_share(start, self.vocab_size)
            rows += (end - start) * share
        return rows

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name every weight and its shape; a tied weight once, as the embedding."""
        embed, hidden, vocab = self.embed_size, self.hidden_size, self.vocab_size
        rows = GATES[self.cell] * hidden
        shapes: dict[str, tuple[int, ...]] = {"embedding": (vocab, embed)}
        for layer in range(self.num_layers):
            prefix = f"stack.layers.{layer}."
            shapes[prefix + "weight_ih"] = (rows, hidden if layer else embed)
            shapes[prefix + "weight_hh"] = (rows, hidden)
            shapes[prefix + "bias_ih"] = shapes[prefix + "bias_hh"] = (rows,)
        if self.projects:
            shapes |= {"projection.weight": (embed, hidden), "projection.bias": (embed,)}
        if not self.tie_weights:
            shapes["head.weight"] = (vocab, hidden)
        shapes["head.bias"] = (vocab,)
        if self.cutoffs:
            clusters = len(self.cutoffs)
            shapes["head.cluster_weight"] = (clusters, self.head_size)
            shapes["head.cluster_bias"] = (clusters,)
        return shapes


def zipf_share(rank: int, vocab_size: int) -> float:
    """Estimate the share of a text that its `rank` most frequent words make up, by Zipf's law."""
    return (math.log(rank) + EULER) / (math.log(vocab_size) + EULER)
