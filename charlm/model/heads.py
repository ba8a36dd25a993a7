"""The softmax head: from outputs to nats and probabilities over a vocabulary.

Legend: N rows (streams x steps), E size of the outputs, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CHUNK_NUMBERS = 1 << 22  # logits held at a time in training
SCORED_NUMBERS = 1 << 20  # and in scoring, where larger chunks gain nothing and cost memory
PLAIN_NUMBERS = 1 << 20  # below this the plain form is as fast and simpler


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

    def nats_sum(self, outputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Sum -log p(target) over rows (N, E), targets (N,), where mask (N,) holds; for training.

        Never holds more than `CHUNK_NUMBERS` logits. The gradient is computed on the way forward,
        chunk by chunk, and only scaled on the way back.
        """
        if len(outputs) * len(self.bias) <= PLAIN_NUMBERS:
            return plain_nats_sum(outputs, self.weight, self.bias, targets, mask)
        arguments = (outputs, self.weight, self.bias, targets, mask)
        total: Tensor = _ChunkedNatsSum.apply(*arguments)  # type: ignore[no-untyped-call]
        return total

    @torch.no_grad()
    def nats(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give -log p(target) of each row: outputs (N, E), targets (N,) -> (N,) float32."""
        pieces = []
        size = max(1, SCORED_NUMBERS // len(self.bias))
        for rows, ids in zip(torch.split(outputs, size), torch.split(targets, size), strict=True):
            logits = functional.linear(rows, self.weight, self.bias).float()  # (n, V)
            pieces.append(functional.cross_entropy(logits, ids, reduction="none"))
        return torch.cat(pieces) if pieces else outputs.new_zeros(0)

    def log_probs(self, outputs: Tensor) -> Tensor:
        """Give log p of every token: outputs (N, E) -> (N, V) float32."""
        logits = functional.linear(outputs, self.weight, self.bias)
        return functional.log_softmax(logits.float(), dim=-1)


def plain_nats_sum(
    outputs: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, mask: Tensor | None
) -> Tensor:
    """The plain form of `SoftmaxHead.nats_sum`: its meaning, its test, best for a small V."""
    logits = functional.linear(outputs, weight, bias).float()  # (N, V)
    if mask is None:
        return functional.cross_entropy(logits, targets, reduction="sum")
    return functional.cross_entropy(logits, targets, reduction="none")[mask].sum()


class _ChunkedNatsSum(torch.autograd.Function):
    """Linear layer, softmax and sum of nats, with the gradient made in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        outputs: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        half = _autocast_type(outputs)
        with torch.autocast(outputs.device.type, enabled=False):
            total, gradients = _nats_and_gradients(
                outputs.to(half), weight.to(half), bias, targets, mask
            )
        ctx.save_for_backward(*gradients)
        ctx.types = (outputs.dtype, weight.dtype)
        return total

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> Any:  # noqa: ANN401
        outputs, weight, bias = ctx.saved_tensors
        output_type, weight_type = ctx.types
        return (
            (outputs * scale).to(output_type),
            (weight * scale).to(weight_type),
            bias * scale,
            None,
            None,
        )


def _nats_and_gradients(
    outputs: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, mask: Tensor | None
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Sum the nats and differentiate them: d nats / d logits = softmax - one-hot, by row."""
    total = outputs.new_zeros((), dtype=torch.float32)
    output_gradient = torch.empty_like(outputs)
    weight_gradient = torch.zeros_like(weight, dtype=bias.dtype)
    bias_gradient = torch.zeros_like(bias)
    rows = max(1, CHUNK_NUMBERS // len(bias))
    for start in range(0, len(outputs), rows):
        part = slice(start, start + rows)
        logits = functional.linear(outputs[part], weight).to(bias.dtype).add_(bias)  # (n, V)
        ids = targets[part].unsqueeze(1)
        normalizer = logits.logsumexp(dim=1, keepdim=True)
        nats = normalizer - logits.gather(1, ids)
        probabilities = logits.sub_(normalizer).exp_()
        probabilities.scatter_add_(1, ids, -torch.ones_like(nats))
        if mask is not None:
            keep = mask[part].unsqueeze(1).to(bias.dtype)
            nats, probabilities = nats * keep, probabilities.mul_(keep)
        total = total + nats.sum()
        bias_gradient += probabilities.sum(dim=0)
        small = probabilities.to(outputs.dtype)
        output_gradient[part] = small @ weight
        weight_gradient += small.T @ outputs[part]
    return total, (output_gradient, weight_gradient, bias_gradient)


def _autocast_type(tensor: Tensor) -> torch.dtype:
    device = tensor.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return tensor.dtype
