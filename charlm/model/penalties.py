"""Penalties on the outputs of the last layer, which enter a loss's gradient and not its value.

Merity et al. 2017, "Revisiting Activation Regularization for Language RNNs" (arXiv 1708.01009), as
in AWD-LSTM (arXiv 1708.02182, section 4.6). Legend: B streams, T steps, H hidden units.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Penalties:
    """How much large outputs, and large changes of them, cost.

    activation: alpha of activation regularisation, on the outputs after dropout
    temporal:   beta of temporal activation regularisation, on the outputs before it
    """

    activation: float = 0.0
    temporal: float = 0.0

    def __bool__(self) -> bool:
        """Tell whether there is any penalty."""
        return self.activation > 0 or self.temporal > 0

    def total(
        self, outputs: Tensor, dropped: Tensor, mask: Tensor | None, resets: Tensor | None
    ) -> Tensor:
        """Sum the penalties of all real targets; `dropped` is `outputs` (B, T, H) after dropout.

        That is alpha |dropped_t|^2 / H + beta |outputs_t - outputs_(t-1)|^2 / H of each target t,
        the second where t - 1 is in the same window and document. Divided by the number of targets
        it is the mean that the papers add to the loss, also over slices and processes; but of a
        window's T steps T - 1 have one before them, where the papers' mean is over these alone.
        """
        size = outputs.shape[-1]
        total = outputs.new_zeros((), dtype=torch.float32)
        if self.activation:
            squares = dropped.float().square().sum(-1)  # (B, T)
            total = total + self.activation / size * _sum_where(squares, mask)
        if self.temporal:
            wide = outputs.float()
            squares = (wide[:, 1:] - wide[:, :-1]).square().sum(-1)  # (B, T - 1)
            both = None if mask is None else mask[:, 1:] & mask[:, :-1]
            if resets is not None:
                both = ~resets[:, 1:] if both is None else both & ~resets[:, 1:]
            total = total + self.temporal / size * _sum_where(squares, both)
        return total


def with_gradient_of(loss: Tensor, penalty: Tensor) -> Tensor:
    """Give `loss`, to the last bit, with the gradient of loss + penalty.

    So what is reported stays nats. Where a penalty is not finite, the loss is not either.
    """
    return loss + (penalty - penalty.detach())


def _sum_where(values: Tensor, where: Tensor | None) -> Tensor:
    return values.sum() if where is None else (values * where).sum()
