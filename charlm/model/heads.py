"""The softmax head: from outputs to nats and probabilities over a vocabulary.

Legend: N rows (streams x steps), E size of the outputs, V vocabulary.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from charlm.model.chunked import add_nats_sum, autocast_type, nats_of, sum_with_gradients

PLAIN_NUMBERS = 1 << 20  # logits below which the plain form is as fast and simpler


class SoftmaxHead(nn.Module):
    """A linear layer and a softmax; its weight may be the embedding's (tied)."""

    def __init__(self, input_size: int, vocab_size: int, tied: nn.Parameter | None = None) -> None:
        super().__init__()
        self.weight = (
            tied if tied is not None else nn.Parameter(torch.empty(vocab_size, input_size))
        )
        self.bias = nn.Parameter(torch.empty(vocab_size))
        if tied is None:
            nn.init.uniform_(self.weight, -(input_size**-0.5), input_size**-0.5)
        nn.init.zeros_(self.bias)

    @torch.no_grad()
    def start_from(self, counts: Tensor) -> None:
        """Begin with each token as probable as it is frequent, by its bias; counts (V,).

        What is never seen in training then needs no unlearning.
        """
        self.bias.copy_(log_frequencies(counts))

    def nats_sum(self, outputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Sum -log p(target) over rows (N, E), targets (N,), where mask (N,) holds; for training.

        Never holds N x V numbers where those are many.
        """
        if mask is not None:
            outputs, targets = outputs[mask], targets[mask]
        if len(outputs) * len(self.bias) <= PLAIN_NUMBERS:
            return self.plain_nats_sum(outputs, targets)
        compute = partial(_nats_and_gradients, targets, autocast_type(outputs))
        return sum_with_gradients(compute, outputs, self.weight, self.bias)

    def plain_nats_sum(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Sum -log p(target) in one piece: the meaning of `nats_sum`, its test, best for few."""
        return functional.nll_loss(self.log_probs(outputs), targets, reduction="sum")

    @torch.no_grad()
    def nats(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give -log p of each row: outputs (N, E), targets (N,) -> (N,) in the weights' type."""
        return nats_of(outputs, self.weight, self.bias, targets)

    def log_probs(self, outputs: Tensor) -> Tensor:
        """Give log p of every token: outputs (..., E) -> (..., V) in the weights' type."""
        return log_softmax(outputs, self.weight, self.bias)


def log_frequencies(counts: Tensor) -> Tensor:
    """Give the log of each count's share, (V,), half of one added to each (Jeffreys).

    Made on the CPU: not every device knows double precision.
    """
    smoothed = counts.cpu().double() + 0.5
    return (smoothed / smoothed.sum()).log().float()


def log_softmax(outputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Give log p by one linear layer: (..., E) -> (..., V); normalised in the bias's type."""
    logits = functional.linear(outputs, weight, bias).to(bias.dtype)
    return functional.log_softmax(logits, dim=-1)


def _nats_and_gradients(
    targets: Tensor, half: torch.dtype, outputs: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Sum the nats and differentiate them by outputs, weight and bias."""
    gradients = torch.zeros_like(weight), torch.zeros_like(bias)
    total, output_gradient = add_nats_sum(
        outputs.to(half), weight.to(half), bias, targets, *gradients
    )
    return total, (output_gradient, *gradients)
