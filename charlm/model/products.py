"""Products of one weight with the states of step after step.

PyTorch's plain product lays the weight out anew at each call. Where oneDNN can be asked for it, as
`torch.compile` asks, the weight is laid out once for the window.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Product = Callable[[Tensor], Tensor]


def product_with(weight: Tensor, bias: Tensor | None, rows: int) -> Product:
    """Give the function from x (rows, K) to x · weightᵀ + bias, (rows, N).

    weight: (N, K), bias: (N,), of one type, which x must have too.
    """
    if not _can_be_packed(weight):
        return lambda x: functional.linear(x, weight, bias)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    multiply = torch.ops.mkldnn._linear_pointwise.default
    return lambda x: multiply(x, packed, bias, "none", [], "")


def _can_be_packed(weight: Tensor) -> bool:
    """Tell whether oneDNN is there, as this release of PyTorch has it, and knows the type."""
    if weight.device.type != "cpu" or not torch._C._has_mkldnn:
        return False
    if not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32
