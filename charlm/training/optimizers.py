"""Optimizers over a network's parameters, and the clipping of gradients."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from charlm.options import check, option

BETAS = (0.6, 0.99)  # of AdamW: much momentum is of no use to a recurrent network
ROW_BETA = 0.999  # of tables, whose rows are seldom asked for


@dataclass(frozen=True)
class OptimizerOptions:
    """What an optimizer needs to know."""

    optimizer: Literal["adamw", "adam", "sgd"] = option("adamw", "update rule")
    learning_rate: float = option(1e-2, "peak learning rate", flag="--lr")
    weight_decay: float = option(0.01, "weight decay; decoupled, on matrices alone, by adamw")
    clip_norm: float = option(1.0, "largest norm of the whole gradient")

    def __post_init__(self) -> None:
        check(self.learning_rate > 0, f"--lr must be above 0, not {self.learning_rate}")
        check(self.weight_decay >= 0, f"--weight-decay must be 0 or more, not {self.weight_decay}")
        check(self.clip_norm > 0, f"--clip-norm must be above 0, not {self.clip_norm}")


@runtime_checkable
class HasTables(Protocol):
    """A module with matrices so large that each row shall have one moment, not two each number."""

    def tables(self) -> list[nn.Parameter]:
        """Give the matrices."""


def make_optimizer(module: nn.Module, options: OptimizerOptions) -> torch.optim.Optimizer:
    """Make the optimizer.

    AdamW: Loshchilov & Hutter 2019 (arXiv 1711.05101), but for tables, for which see
    `RowwiseAdamW`; its decay spares biases and everything else of one dimension. SGD, for use with
    high rates and tight clipping, as Zaremba et al. 2014 (arXiv 1409.2329) train word models, and
    Adam (Kingma & Ba 2015, arXiv 1412.6980) are PyTorch's own, as publications used them: with
    their weight decay in the gradient, and for all parameters.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    decay = {"weight_decay": options.weight_decay}
    if options.optimizer != "adamw":
        return OPTIMIZERS[options.optimizer]([{"params": parameters} | decay], options)
    apart = {id(table) for table in module.tables()} if isinstance(module, HasTables) else set()
    matrices = [p for p in parameters if p.dim() > 1]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in matrices if id(p) not in apart]} | decay,
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
        {"params": [p for p in matrices if id(p) in apart], "rowwise": True} | decay,
    ]
    return OPTIMIZERS[options.optimizer](groups, options)


class RowwiseAdamW(torch.optim.AdamW):
    """AdamW that keeps, in groups said to be `rowwise`, one number for each row of a matrix.

    It is the moving mean of the row's squared gradients; there is no first moment. A table of
    33,278 words by 650 numbers is spared 173 MB, and much of the update's time, which goes by the
    memory that it touches. Second moments shared in a row: Shazeer & Stern 2018 (arXiv 1804.04235).
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # noqa: ANN401
        """Update all parameters that have a gradient."""
        groups = [group for group in self.param_groups if group.get("rowwise")]
        tables = [(table, group) for group in groups for table in group["params"]]
        gradients = [table.grad for table, _ in tables]
        for table, _ in tables:
            table.grad = None  # for AdamW they are not there
        result = super().step(closure)
        for (table, group), gradient in zip(tables, gradients, strict=True):
            table.grad = gradient
            if gradient is not None:
                _update_rows(table, gradient, self.state[table], group)
        return result


def state_shapes(group: Mapping[str, Any], parameter: Tensor) -> dict[str, torch.Size]:
    """Give the shapes of what an optimizer keeps of a parameter, by name."""
    one = torch.Size(())
    if "betas" not in group:  # SGD
        return {}
    if group.get("rowwise"):
        return {"step": one, "row_square": torch.Size((len(parameter), 1))}
    return {"step": one, "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}


def _update_rows(
    table: Tensor, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]
) -> None:
    """Update a matrix (R, E) by its gradient, with `row_square` (R, 1) in place of two moments."""
    if not state:
        state["step"] = torch.zeros(())
        state["row_square"] = table.new_zeros(len(table), 1)
    state["step"] += 1
    kept, rate = ROW_BETA, group["lr"]
    norms = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    share = (1 - kept) / table.shape[1]
    square = state["row_square"].mul_(kept).addcmul_(norms, norms, value=share)
    scale = square.div(1 - kept ** float(state["step"])).sqrt_().add_(group["eps"]).reciprocal_()
    table.mul_(1 - rate * group["weight_decay"]).addcmul_(gradient, scale, value=-rate)


def _adamw(groups: list[dict[str, Any]], options: OptimizerOptions) -> torch.optim.Optimizer:
    return RowwiseAdamW(groups, lr=options.learning_rate, betas=BETAS, fused=True)


def _adam(groups: list[dict[str, Any]], options: OptimizerOptions) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=options.learning_rate, fused=True)


def _sgd(groups: list[dict[str, Any]], options: OptimizerOptions) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=options.learning_rate)


OPTIMIZERS: dict[str, Callable[[list[dict[str, Any]], OptimizerOptions], torch.optim.Optimizer]]
OPTIMIZERS = {"adamw": _adamw, "adam": _adam, "sgd": _sgd}


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip_gradients(parameters: Iterable[nn.Parameter], norm: float) -> Tensor:
    """Scale all gradients together so that their norm is at most `norm`; give the norm before."""
    return nn.utils.clip_grad_norm_(parameters, norm)
