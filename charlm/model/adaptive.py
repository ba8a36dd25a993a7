"""The adaptive softmax (Grave et al. 2017, arXiv 1609.04309): a softmax in two levels.

Ids are cut into a shortlist [0, c0) and clusters [c0, c1), ... [c_last, V). The first level chooses
among the words of the shortlist and the clusters, the second among the words of a cluster:

    log p(w) = log p1(w)                            for w in the shortlist
    log p(w) = log p1(cluster of w) + log p2(w)     elsewhere

It is a distribution like any other, whatever the order of the ids; where they are sorted by falling
frequency, few rows need a second level, and learning costs a fraction of the full softmax.
Legend: N rows, E size of the outputs, V vocabulary, c0 size of the shortlist, K clusters.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from charlm.model.chunked import add_nats_sum, autocast_type, nats_of, sum_with_gradients
from charlm.model.heads import SoftmaxHead, log_softmax

Bounds = Sequence[tuple[int, int]]  # of each cluster: its first id, and the one after its last


class AdaptiveHead(SoftmaxHead):
    """A softmax head in two levels.

    Every word has its row of E numbers, as in the full softmax, so that the weight can be the
    embedding's; a row and a bias for each cluster come on top.
    """

    def __init__(
        self,
        input_size: int,
        vocab_size: int,
        cutoffs: Sequence[int],
        tied: nn.Parameter | None = None,
    ) -> None:
        super().__init__(input_size, vocab_size, tied)
        self.shortlist = cutoffs[0]
        self.bounds = list(pairwise((*cutoffs, vocab_size)))
        self.cluster_weight = nn.Parameter(torch.empty(len(cutoffs), input_size))
        nn.init.uniform_(self.cluster_weight, -(input_size**-0.5), input_size**-0.5)
        # by its bias a cluster begins as probable as all its words together
        sizes = torch.tensor([float(end - start) for start, end in self.bounds])
        self.cluster_bias = nn.Parameter(sizes.log())

    @torch.no_grad()
    def start_from(self, counts: Tensor) -> None:
        """Begin with each token as probable as it is frequent, by its bias; counts (V,)."""
        super().start_from(counts)
        for number, (start, end) in enumerate(self.bounds):
            self.cluster_bias[number] = self.bias[start:end].logsumexp(0)

    def nats_sum(self, outputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Sum -log p(target) over rows (N, E), targets (N,), where mask (N,) holds; for training.

        A cluster's logits are made for the rows alone whose target lies in it.
        """
        if mask is not None:
            outputs, targets = outputs[mask], targets[mask]
        compute = partial(_nats_and_gradients, targets, self.bounds, autocast_type(outputs))
        clusters = self.cluster_weight, self.cluster_bias
        return sum_with_gradients(compute, outputs, self.weight, self.bias, *clusters)

    @torch.no_grad()
    def nats(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give -log p of each row: outputs (N, E), targets (N,) -> (N,) in the weights' type."""
        choices, members = _sort(targets, self.bounds)
        nats = nats_of(outputs, *self._first(), choices)
        for (start, end), rows in zip(self.bounds, members, strict=True):
            weight, bias = self.weight[start:end], self.bias[start:end]
            nats[rows] += nats_of(outputs[rows], weight, bias, targets[rows] - start)
        return nats

    def log_probs(self, outputs: Tensor) -> Tensor:
        """Give log p of every token: outputs (..., E) -> (..., V) in the weights' type."""
        first = self.first_log_probs(outputs)
        pieces = [first[..., : self.shortlist]]
        for number in range(len(self.bounds)):
            of_cluster = first[..., self.shortlist + number].unsqueeze(-1)
            pieces.append(of_cluster + self.inner_log_probs(number, outputs))
        return torch.cat(pieces, dim=-1)

    def first_log_probs(self, outputs: Tensor) -> Tensor:
        """Give log p of the shortlist's words, then of each cluster: (..., E) -> (..., c0 + K)."""
        return log_softmax(outputs, *self._first())

    def inner_log_probs(self, number: int, outputs: Tensor) -> Tensor:
        """Give log p of a cluster's words, given that it is one of them."""
        start, end = self.bounds[number]
        return log_softmax(outputs, self.weight[start:end], self.bias[start:end])

    def _first(self) -> tuple[Tensor, Tensor]:
        rows = _behind(self.weight, self.cluster_weight, self.shortlist)
        return rows, _behind(self.bias, self.cluster_bias, self.shortlist)


def _behind(words: Tensor, clusters: Tensor, shortlist: int) -> Tensor:
    """Put what belongs to the clusters behind what belongs to the shortlist: c0 + K rows."""
    return torch.cat([words[:shortlist], clusters])


def _sort(targets: Tensor, bounds: Bounds) -> tuple[Tensor, list[Tensor]]:
    """Give what the first level must choose for each target, (N,), and the rows of each cluster."""
    choices, members = targets.clone(), []
    for number, (start, end) in enumerate(bounds):
        rows = ((targets >= start) & (targets < end)).nonzero().squeeze(1)
        choices[rows] = bounds[0][0] + number
        members.append(rows)
    return choices, members


def _nats_and_gradients(
    targets: Tensor,
    bounds: Bounds,
    half: torch.dtype,
    outputs: Tensor,
    weight: Tensor,
    bias: Tensor,
    cluster_weight: Tensor,
    cluster_bias: Tensor,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Sum the nats and differentiate them by outputs, both weights and both biases."""
    outputs, shortlist = outputs.to(half), bounds[0][0]
    choices, members = _sort(targets, bounds)
    first = _behind(weight, cluster_weight, shortlist)
    first_bias = _behind(bias, cluster_bias, shortlist)
    first_gradients = torch.zeros_like(first), torch.zeros_like(first_bias)
    total, output_gradient = add_nats_sum(
        outputs, first.to(half), first_bias, choices, *first_gradients
    )
    gradients = torch.zeros_like(weight), torch.zeros_like(bias)
    for (start, end), rows in zip(bounds, members, strict=True):
        own = slice(start, end)
        nats, inner_gradient = add_nats_sum(
            outputs[rows], weight[own].to(half), bias[own], targets[rows] - start,
            *(gradient[own] for gradient in gradients),
        )  # fmt: skip
        total += nats
        output_gradient.index_add_(0, rows, inner_gradient)
    for gradient, of_first in zip(gradients, first_gradients, strict=True):
        gradient[:shortlist] = of_first[:shortlist]
    of_clusters = (of_first[shortlist:].clone() for of_first in first_gradients)
    return total, (output_gradient, *gradients, *of_clusters)
