"""A softmax's nats, a chunk of rows at a time: all logits are never held at once.

In training the gradient is made on the way forward, while the logits are at hand, and only scaled
on the way back. Legend: N rows, n rows of a chunk, E size of the outputs, V ids to choose from.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

CHUNK_NUMBERS = 1 << 22  # logits held at a time in training
FEWEST_ROWS = 16  # of a product in bfloat16
SCORED_NUMBERS = 1 << 20  # and in scoring, where larger chunks gain nothing and cost memory

Compute = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]


def autocast_type(tensor: Tensor) -> torch.dtype:
    """Give the type in which matrix products with a tensor are to be made."""
    device = tensor.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return tensor.dtype


def sum_with_gradients(compute: Compute, *tensors: Tensor) -> Tensor:
    """Give the sum that `compute` makes of tensors, together with its gradient for each of them."""
    total: Tensor = _SumWithGradients.apply(compute, *tensors)  # type: ignore[no-untyped-call]
    return total


class _SumWithGradients(torch.autograd.Function):
    """A sum whose gradients are known with it."""

    @staticmethod
    def forward(ctx: Any, compute: Compute, *tensors: Tensor) -> Tensor:  # noqa: ANN401
        with torch.autocast(tensors[0].device.type, enabled=False):
            total, ctx.gradients = compute(*tensors)
        ctx.compute = compute
        ctx.save_for_backward(*tensors)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> Any:  # noqa: ANN401
        # They are given away and scaled in place, which spares a copy of V x E numbers or two; for
        # a graph that is walked again they are made again.
        gradients, ctx.gradients = ctx.gradients, None
        tensors = ctx.saved_tensors
        if gradients is None:
            with torch.autocast(scale.device.type, enabled=False):
                _, gradients = ctx.compute(*tensors)
        pairs = zip(gradients, tensors, strict=True)
        return None, *(gradient.mul_(scale).to(tensor.dtype) for gradient, tensor in pairs)


def add_nats_sum(
    outputs: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    weight_gradient: Tensor,
    bias_gradient: Tensor,
) -> tuple[Tensor, Tensor]:
    """Sum -log p(target) of outputs (N, E), targets (N,); give it and the outputs' gradient (N, E).

    The gradients of weight (V, E) and bias (V,) are added to what is in their places.
    """
    total, output_gradient = bias.new_zeros(()), torch.empty_like(outputs)
    for part, rows, ids in chunks(outputs, targets, len(bias)):
        real = len(targets[part])
        nats, slopes = softmax_slopes(rows, weight, bias, ids)
        total += nats[:real].sum()
        slopes[real:] = 0
        gradients = weight_gradient, bias_gradient
        output_gradient[part] = add_gradients(slopes, rows, weight, *gradients)[:real]
    return total, output_gradient


def chunks(
    outputs: Tensor, targets: Tensor, vocab_size: int, together: int = 1
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Cut rows (N, E) and targets (N,) into parts whose logits can be held.

    Yields where a part lies, its rows (n, E) and its targets (n,), with zeros behind them where the
    product takes more. together: number of rows that must not be parted; N is a multiple of it.
    """
    compiled = _compiles(outputs)
    size = _rows_that_fit(CHUNK_NUMBERS // vocab_size, compiled)
    size = max(together, size // together * together)
    for start in range(0, len(outputs), size):
        part = slice(start, start + size)
        rows = outputs[part]
        held = _rows_held(len(rows), compiled)
        yield part, _filled_up(rows, held), _filled_up(targets[part, None], held).squeeze(1)


def softmax_slopes(
    rows: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Give -log p of each row's target, (n,), and its gradient by the row's logits, (n, V).

    rows: (n, E), targets: (n,). By row, d nats / d logits = softmax - one-hot.
    """
    ids = targets.unsqueeze(1)
    logits = functional.linear(rows, weight).to(bias.dtype).add_(bias)  # (n, V)
    logits -= logits.amax(dim=1, keepdim=True)  # nothing overflows
    of_targets = logits.gather(1, ids)
    slopes = logits.exp_()
    sums = slopes.sum(dim=1, keepdim=True)
    slopes.div_(sums).scatter_add_(1, ids, -torch.ones_like(sums))
    return (sums.log() - of_targets).squeeze(1), slopes


def add_gradients(
    slopes: Tensor, rows: Tensor, weight: Tensor, weight_gradient: Tensor, bias_gradient: Tensor
) -> Tensor:
    """Go back from logits (n, V) to rows (n, E): give their gradient, add those of the weights."""
    bias_gradient += slopes.sum(dim=0)
    small = slopes.to(rows.dtype)
    _add_product(weight_gradient, small.T, rows)
    return small @ weight


def _compiles(tensor: Tensor) -> bool:
    """Tell whether a product is compiled for each number of rows that it has not met.

    oneDNN does that in bfloat16, in a time longer than the product's. So there shall be four
    numbers of rows from one power of two to the next.
    """
    return tensor.device.type == "cpu" and autocast_type(tensor) == torch.bfloat16


def _rows_held(number: int, compiled: bool) -> int:
    """Give the number of rows to multiply where there are so many to be multiplied."""
    step = _step(number - 1)
    return -(-number // step) * step if compiled else number


def _rows_that_fit(number: int, compiled: bool) -> int:
    """Give the number of rows to multiply where more than `number` would be too many."""
    step = _step(number)
    return number // step * step if compiled and number >= step else max(1, number)


def _step(number: int) -> int:
    """Give what numbers of rows about this one are multiples of: an eighth of a power of two."""
    return max(FEWEST_ROWS, 1 << max(0, number.bit_length() - 3))


def _filled_up(rows: Tensor, number: int) -> Tensor:
    """Append zeros to (n, X) for so many rows in all."""
    return rows if len(rows) == number else functional.pad(rows, (0, 0, 0, number - len(rows)))


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add a matrix product to a total, without holding it apart where the types allow."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right


def nats_of(outputs: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Give -log p of each target: outputs (N, E), targets (N,) -> (N,) in the bias's type."""
    pieces, compiled = [], _compiles(outputs)
    size = _rows_that_fit(SCORED_NUMBERS // len(bias), compiled)
    for rows, ids in zip(torch.split(outputs, size), torch.split(targets, size), strict=True):
        held = _filled_up(rows, _rows_held(len(rows), compiled))
        logits = functional.linear(held, weight, bias)[: len(rows)].to(bias.dtype)  # (n, V)
        pieces.append(functional.cross_entropy(logits, ids, reduction="none"))
    return torch.cat(pieces) if pieces else bias.new_zeros(0)
