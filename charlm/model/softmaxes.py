"""A mixture of softmaxes (Yang et al. 2018, arXiv 1711.03953).

    p = sum over k of pi_k softmax(W h_k + b)    h_k = tanh(L_k h + l_k)    pi = softmax(P h)

All share one table of rows W. A plain softmax's log p of all words in all contexts is a matrix of
rank E + 2 at most, since it is made of E numbers for each context; that of a mixture is of any.
Legend: N rows, H size of the outputs, K softmaxes, E size of a word's row, V vocabulary.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from charlm.model.chunked import (
    SCORED_NUMBERS,
    add_gradients,
    autocast_type,
    chunks,
    nats_of,
    softmax_slopes,
    sum_with_gradients,
)
from charlm.model.heads import SoftmaxHead, log_softmax


class MixtureHead(SoftmaxHead):
    """Softmaxes over the same rows, which may be the embedding's, mixed by the outputs."""

    def __init__(
        self,
        input_size: int,
        row_size: int,
        vocab_size: int,
        mixtures: int,
        tied: nn.Parameter | None = None,
    ) -> None:
        super().__init__(row_size, vocab_size, tied)
        self.mixtures = mixtures
        self.latent_weight = nn.Parameter(torch.empty(mixtures * row_size, input_size))
        self.latent_bias = nn.Parameter(torch.zeros(mixtures * row_size))
        self.prior_weight = nn.Parameter(torch.empty(mixtures, input_size))
        for weight in (self.latent_weight, self.prior_weight):
            nn.init.uniform_(weight, -(input_size**-0.5), input_size**-0.5)

    def parts(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Give each softmax's rows h_k and log pi_k: outputs (..., H) -> (..., K, E), (..., K)."""
        latents = functional.linear(outputs, self.latent_weight, self.latent_bias).tanh()
        logits = functional.linear(outputs, self.prior_weight).to(self.bias.dtype)
        latents = latents.view(*logits.shape, self.weight.shape[1])
        return latents, functional.log_softmax(logits, dim=-1)

    def nats_sum(self, outputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Sum -log p(target) over rows (N, H), targets (N,), where mask (N,) holds; for training.

        Never holds K x N x V numbers where those are many.
        """
        latents, log_shares = self.parts(outputs)  # of all: products of new sizes are slow
        if mask is not None:
            latents, log_shares, targets = latents[mask], log_shares[mask], targets[mask]
        compute = partial(_nats_and_gradients, targets, autocast_type(outputs))
        return sum_with_gradients(compute, latents, log_shares, self.weight, self.bias)

    @torch.no_grad()
    def nats(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give -log p of each row: outputs (N, H), targets (N,) -> (N,) in the weights' type."""
        pieces = [self.bias.new_zeros(0)]
        size = max(1, SCORED_NUMBERS // len(self.latent_bias))
        for rows, ids in zip(torch.split(outputs, size), torch.split(targets, size), strict=True):
            latents, log_shares = self.parts(rows)
            each = ids.repeat_interleave(self.mixtures)
            nats = nats_of(latents.flatten(0, 1), self.weight, self.bias, each)
            pieces.append(-(log_shares - nats.view_as(log_shares)).logsumexp(dim=1))
        return torch.cat(pieces)

    def log_probs(self, outputs: Tensor) -> Tensor:
        """Give log p of every token: outputs (..., H) -> (..., V) in the weights' type."""
        size = max(1, SCORED_NUMBERS // (self.mixtures * len(self.bias)))
        pieces = []
        for rows in torch.split(outputs.reshape(-1, outputs.shape[-1]), size):
            latents, log_shares = self.parts(rows)
            each = log_softmax(latents, self.weight, self.bias) + log_shares.unsqueeze(-1)
            pieces.append(each.logsumexp(dim=1))  # of (n, K, V)
        return torch.cat(pieces).view(*outputs.shape[:-1], len(self.bias))


def _nats_and_gradients(
    targets: Tensor,
    half: torch.dtype,
    latents: Tensor,
    log_shares: Tensor,
    weight: Tensor,
    bias: Tensor,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Sum the nats and differentiate them by latents (N, K, E), log pi (N, K), weight and bias.

    With the responsibility r_k = pi_k p_k(target) / p(target), that of softmax k for the target,
    d nats / d log pi_k = -r_k, and what softmax k alone had for a gradient counts r_k times.
    """
    small, mixtures = weight.to(half), log_shares.shape[1]
    rows, each = latents.flatten(0, 1).to(half), targets.repeat_interleave(mixtures)
    total, of_rows = bias.new_zeros(()), torch.empty_like(rows)
    of_shares = torch.empty_like(log_shares)
    gradients = torch.zeros_like(weight), torch.zeros_like(bias)
    for part, own, ids in chunks(rows, each, len(bias), together=mixtures):
        nats, slopes = softmax_slopes(own, small, bias, ids)
        flat = log_shares.view(-1)[part]
        joint = (flat - nats[: len(flat)]).view(-1, mixtures)  # log pi_k p_k(target)
        total -= joint.logsumexp(dim=1).sum()
        responsible = joint.softmax(dim=1).view(-1)
        of_shares.view(-1)[part] = -responsible
        slopes[: len(flat)] *= responsible.unsqueeze(1)
        slopes[len(flat) :] = 0
        of_rows[part] = add_gradients(slopes, own, small, *gradients)[: len(flat)]
    return total, (of_rows.view_as(latents), of_shares, *gradients)
