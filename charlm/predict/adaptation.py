"""How a network adapts to what it reads, as numbers. Imports no torch."""

from dataclasses import dataclass
from typing import Literal

Rule = Literal["rms", "sgd"]


@dataclass(frozen=True)
class Adaptation:
    """The options of dynamic evaluation (`charlm.predict.adapt`).

    rate:    of a step, for rows that moved in training as much as is usual
    decay:   share of the way back to the trained weights that each step goes
    segment: ids that are read between two steps
    rule:    "rms" divides the rate of each row by the size of its gradients in training, "sgd" has
             one rate for all, which is then of another size

    The defaults were better than no adaptation on every corpus tried (docs/benchmarks.md).
    """

    rate: float = 0.0005
    decay: float = 0.001
    segment: int = 20
    rule: Rule = "rms"
