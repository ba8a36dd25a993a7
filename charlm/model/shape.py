"""The shape of a language network, known without PyTorch and without allocating anything.

E embedding, H hidden units of a layer, G gates (4 LSTM, 3 GRU, 1 RNN), V vocabulary,
K softmaxes mixed.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from charlm.options import check

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
MAX_ROUNDS = 100  # of a Mogrifier; each has tensors of its own
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
    mogrifier: int = 0  # rounds in which input and state gate each other before an LSTM's step
    mogrifier_rank: int = 0  # of the matrices of these rounds; 0: full
    mixtures: int = 1  # softmaxes that are mixed; 1: a plain one
    last_hidden_size: int | None = None  # units of the last layer; none: as many as in the others

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
        self._check_extensions()

    def _check_extensions(self) -> None:
        rounds, rank = self.mogrifier, self.mogrifier_rank
        check(0 <= rounds <= MAX_ROUNDS, f"mogrifier must be 0 to {MAX_ROUNDS}, not {rounds}")
        check(rounds == 0 or self.cell == "lstm", f"mogrifier is for the lstm, not the {self.cell}")
        check(rank >= 0, f"mogrifier_rank must be 0 or more, not {rank}")
        check(rank == 0 or rounds > 0, f"mogrifier_rank is {rank} without a mogrifier")
        check(self.mixtures >= 1, f"mixtures must be 1 or more, not {self.mixtures}")
        check(self.mixtures == 1 or not self.cutoffs, "mixtures and cutoffs exclude each other")
        last = self.last_hidden_size
        check(last is None or last >= 1, f"last_hidden_size must be 1 or more, not {last}")
        check(last is None or self.num_layers > 1, "last_hidden_size is for two layers or more")

    @property
    def output_size(self) -> int:
        """Give the last layer's units."""
        return self.last_hidden_size or self.hidden_size

    @property
    def layer_sizes(self) -> list[tuple[int, int]]:
        """Give (inputs, units) of each layer."""
        return layer_sizes(self.embed_size, self.hidden_size, self.num_layers, self.output_size)

    @property
    def state_sizes(self) -> list[int]:
        """Give the size of each part of a stream's state: of an LSTM's layers, two of each."""
        parts = 2 if self.cell == "lstm" else 1
        return [units for _, units in self.layer_sizes for _ in range(parts)]

    @property
    def row_size(self) -> int:
        """Give the size of a token's row in the head: E with tied weights, else the last H."""
        return self.embed_size if self.tie_weights else self.output_size

    @property
    def head_size(self) -> int:
        """Give the size of what the head takes: of its rows, or H where softmaxes are mixed."""
        return self.row_size if self.mixtures == 1 else self.output_size

    @property
    def projects(self) -> bool:
        """Tell whether a projection stands between the last layer and the head."""
        return self.head_size != self.output_size

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

    @property
    def extras(self) -> list[str]:
        """Say in words what this network has and most have not."""
        rank = f" of rank {self.mogrifier_rank}" if self.mogrifier_rank else ""
        rounds = f"{self.mogrifier} Mogrifier round{'s' * (self.mogrifier > 1)}{rank}"
        said = {
            f"a last layer of {self.output_size:,} units": self.output_size != self.hidden_size,
            rounds: self.mogrifier > 0,
            f"a mixture of {self.mixtures} softmaxes": self.mixtures > 1,
        }
        return [words for words, holds in said.items() if holds]

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name every weight and its shape; a tied weight once, as the embedding."""
        embed, outputs, vocab = self.embed_size, self.output_size, self.vocab_size
        shapes: dict[str, tuple[int, ...]] = {"embedding": (vocab, embed)}
        for layer, (inputs, units) in enumerate(self.layer_sizes):
            prefix, rows = f"stack.layers.{layer}.", GATES[self.cell] * units
            shapes[prefix + "weight_ih"] = (rows, inputs)
            shapes[prefix + "weight_hh"] = (rows, units)
            shapes[prefix + "bias_ih"] = shapes[prefix + "bias_hh"] = (rows,)
            sizes = inputs, units
            for number in range(self.mogrifier):
                name = f"{prefix}mogrifier.rounds.{number}."
                shapes |= modulation_shapes(name, *sizes, self.mogrifier_rank)
                sizes = sizes[::-1]
        if self.projects:
            shapes |= {"projection.weight": (embed, outputs), "projection.bias": (embed,)}
        if not self.tie_weights:
            shapes["head.weight"] = (vocab, outputs)
        shapes["head.bias"] = (vocab,)
        if self.cutoffs:
            clusters = len(self.cutoffs)
            shapes["head.cluster_weight"] = (clusters, self.head_size)
            shapes["head.cluster_bias"] = (clusters,)
        if self.mixtures > 1:
            latents = self.mixtures * self.row_size
            shapes |= {"head.latent_weight": (latents, outputs), "head.latent_bias": (latents,)}
            shapes["head.prior_weight"] = (self.mixtures, outputs)
        return shapes


def layer_sizes(inputs: int, hidden: int, layers: int, last: int) -> list[tuple[int, int]]:
    """Give (inputs, units) of each layer: each reads the units of the one below it."""
    units = [*[hidden] * (layers - 1), last]
    return list(pairwise([inputs, *units]))


def modulation_shapes(prefix: str, size: int, by: int, rank: int) -> dict[str, tuple[int, ...]]:
    """Name the weights of a Mogrifier's round, which gates `size` numbers by others."""
    if rank:
        return {prefix + "left": (size, rank), prefix + "right": (rank, by)}
    return {prefix + "weight": (size, by)}


def zipf_share(rank: int, vocab_size: int) -> float:
    """Estimate the share of a text that its `rank` most frequent words make up, by Zipf's law."""
    return (math.log(rank) + EULER) / (math.log(vocab_size) + EULER)
