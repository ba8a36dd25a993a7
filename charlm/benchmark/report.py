"""What was measured, as one JSON object and as a table."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from charlm.benchmark.aims import Verdict, verdicts
from charlm.benchmark.ceilings import Ceilings
from charlm.benchmark.contest import Contest
from charlm.benchmark.machine import Machine
from charlm.benchmark.memory import Memory
from charlm.benchmark.options import BenchOptions
from charlm.benchmark.scoring_speed import LineScoring
from charlm.benchmark.serving_speed import Serving
from charlm.benchmark.starting import Start
from charlm.benchmark.tables import NOTHING, Row, generation_tables, lay_out
from charlm.benchmark.targets import Target
from charlm.benchmark.throughput import Throughput
from charlm.benchmark.typing_speed import Typing
from charlm.benchmark.writing import Writing

GIGA, MEGA = 1e9, 1e6


@dataclass
class Report:
    """All results; a part that was not run is None or empty."""

    machine: Machine
    options: BenchOptions
    ceilings: Ceilings | None = None
    throughput: list[Throughput] = field(default_factory=list)
    cells: list[Contest] = field(default_factory=list)
    contest: list[Contest] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    writing: list[Writing] = field(default_factory=list)
    typing: list[Typing] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    scoring: list[LineScoring] = field(default_factory=list)
    serving: list[Serving] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    @property
    def verdicts(self) -> list[Verdict]:
        """Give what is held to its aims; tiny sizes are not."""
        if self.options.quick:
            return []
        return verdicts(self.writing, self.typing, self.starts, self.scoring, self.serving)

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold: speeds in tokens/s, FLOP/s and bytes/s."""
        found = asdict(self)
        for one, memory in zip(found["memory"], self.memory, strict=True):
            one["ratio"] = memory.ratio
        for one, target in zip(found["targets"], self.targets, strict=True):
            one |= {"nats": target.nats, "reached": target.reached, "ratio": target.ratio}
        found["aims"] = [one.to_json() for one in self.verdicts]
        return found

    def table(self) -> str:
        """Lay it out for people, part by part."""
        parts = [self.machine.line(), *self._tables()]
        return "\n\n".join(part for part in parts if part)

    def _tables(self) -> Iterable[str]:
        yield lay_out(("ceiling", "speed"), _ceiling_rows(self.ceilings))
        yield lay_out(
            ("training step", "tokens/s", "GFLOP/s", "of ceiling"),
            [_throughput_row(one) for one in self.throughput],
        )
        yield lay_out(
            ("layer, tokens/s", "charlm", "PyTorch", "ratio"),
            [_contest_row(one) for one in self.cells],
        )
        yield lay_out(
            ("training, tokens/s", "charlm", "textbook", "ratio"),
            [_contest_row(one) for one in self.contest],
        )
        yield lay_out(
            ("peak memory, MB", "charlm", "textbook", "ratio"),
            [_memory_row(one) for one in self.memory],
        )
        yield from generation_tables(
            self.writing, self.typing, self.starts, self.scoring, self.serving, self.verdicts
        )
        yield lay_out(
            ("target", "given", "score", "reached in", "textbook", "ratio"),
            [_target_row(one) for one in self.targets],
        )


def _ceiling_rows(ceilings: Ceilings | None) -> list[Row]:
    if ceilings is None:
        return []
    bf16 = ceilings.matrix_bf16
    return [
        ("matrix product, fp32", f"{ceilings.matrix_fp32 / GIGA:,.1f} GFLOP/s"),
        ("matrix product, bf16", NOTHING if bf16 is None else f"{bf16 / GIGA:,.1f} GFLOP/s"),
        ("memory stream", f"{ceilings.bandwidth / GIGA:,.1f} GB/s"),
    ]


def _throughput_row(one: Throughput) -> Row:
    flops = NOTHING if one.flops is None else f"{one.flops / GIGA:,.1f}"
    share = NOTHING if one.share is None else f"{one.share:.0%}"
    return one.name, f"{one.tokens_per_second:,.0f}", flops, share


def _contest_row(one: Contest) -> Row:
    return one.name, f"{one.own:,.0f}", f"{one.other:,.0f}", f"{one.ratio:.2f}"


def _memory_row(one: Memory) -> Row:
    return one.name, f"{one.own / MEGA:,.0f}", f"{one.other / MEGA:,.0f}", f"{one.ratio:.2f}"


def _target_row(one: Target) -> Row:
    goal, textbook = one.goal, one.textbook
    score, wanted = f"{one.nats:.4f} nats", f"{goal.nats:.4f} nats"
    if goal.kind == "word":
        score, wanted = f"perplexity {math.exp(one.nats):.1f}", f"{math.exp(goal.nats):.1f}"
    theirs = NOTHING
    if textbook is not None and textbook.seconds is not None:
        theirs = f"{textbook.seconds:,.0f} s" + " (projected)" * textbook.projected
    return (
        f"{goal.corpus}, {wanted}",
        f"{goal.seconds:,.0f} s",
        score,
        "not reached" if one.reached is None else f"{one.reached:,.1f} s",
        theirs,
        NOTHING if one.ratio is None else f"{one.ratio:.1f}",
    )
