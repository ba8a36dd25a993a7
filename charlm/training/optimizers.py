"""Optimizers over a network's parameters, and the clipping of gradients."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from charlm.options import check, option

BETAS = (0.6, 0.99)  # of AdamW: much momentum is of no use to a recurrent network


@dataclass(frozen=True)
class OptimizerOptions:
    """What an optimizer needs to know."""

    optimizer: Literal["adamw", "sgd"] = option("adamw", "update rule")
    learning_rate: float = option(1e-2, "peak learning rate", flag="--lr")
    weight_decay: float = option(0.01, "decoupled weight decay on weight matrices")
    clip_norm: float = option(1.0, "largest norm of the whole gradient")

    def __post_init__(self) -> None:
        check(self.learning_rate > 0, f"--lr must be above 0, not {self.learning_rate}")
        check(self.weight_decay >= 0, f"--weight-decay must be 0 or more, not {self.weight_decay}")
        check(self.clip_norm > 0, f"--clip-norm must be above 0, not {self.clip_norm}")


def make_optimizer(module: nn.Module, options: OptimizerOptions) -> torch.optim.Optimizer:
    """Make the optimizer; weight decay spares biases and everything else of one dimension.

    AdamW: Loshchilov & Hutter 2019 (arXiv 1711.05101). SGD is plain, for use with high rates and
    tight clipping, as Zaremba et al. 2014 (arXiv 1409.2329) train word models.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[options.optimizer](groups, options)


def _adamw(groups: list[dict[str, Any]], options: OptimizerOptions) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=BETAS, fused=True)


def _sgd(groups: list[dict[str, Any]], options: OptimizerOptions) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=options.learning_rate)


OPTIMIZERS: dict[str, Callable[[list[dict[str, Any]], OptimizerOptions], torch.optim.Optimizer]]
OPTIMIZERS = {"adamw": _adamw, "sgd": _sgd}


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip_gradients(parameters: Iterable[nn.Parameter], norm: float) -> Tensor:
    """Scale all gradients together so that their norm is at most `norm`; give the norm before."""
    return nn.utils.clip_grad_norm_(parameters, norm)
