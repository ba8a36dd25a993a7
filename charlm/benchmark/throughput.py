"""How fast charlm learns, in tokens and in arithmetic, beside what the machine can do at best."""

import statistics
from dataclasses import dataclass

from charlm.benchmark.ceilings import MatrixProduct
from charlm.benchmark.clock import alternate
from charlm.benchmark.ids import Ids
from charlm.benchmark.shapes import Shape
from charlm.benchmark.steps import OwnStep
from charlm.language.sizes import operations

CEILING_CALLS = 3  # products for each step: the shorter of the two is timed more than once


@dataclass(frozen=True)
class Throughput:
    """The speed of whole training steps, medians of several.

    flops: FLOP/s, 6 for each multiply-add of recurrent layers and head; None where not countable
    share: of the speed of a large matrix product that was timed in turn with the steps
    """

    name: str
    tokens_per_second: float
    flops: float | None
    share: float | None


def measure_throughput(
    shape: Shape, ids: Ids, ceiling: MatrixProduct, rounds: int, bf16: bool
) -> Throughput:
    """Time charlm's own training step at a shape, in turn with the ceiling."""
    step = OwnStep(shape, ids, bf16)
    step.warm_up()

    def products() -> None:
        for _ in range(CEILING_CALLS):
            ceiling()

    seconds = alternate({"step": step, "ceiling": products}, rounds)
    taken = statistics.median(seconds["step"])
    each = sum(operations(step.network.config))
    work, best = each * shape.tokens, CEILING_CALLS * ceiling.flops
    pairs = zip(seconds["step"], seconds["ceiling"], strict=True)
    share = statistics.median((work / own) / (best / top) for own, top in pairs)
    return Throughput(shape.name, shape.tokens / taken, work / taken, share)
