"""The shapes of what is measured: network, batch and window.

Legend: B streams, T steps.
"""

from dataclasses import dataclass
from typing import Literal

from charlm.language.plan import Plan, make_plan
from charlm.language.probe import Machine
from charlm.language.request import TrainRequest
from charlm.language.sizes import CorpusFacts

FLOPS = 6  # for a multiply-add in training: two forward, and twice as much backward
TOKENS = 2_000_000  # of the corpus that the plan is told of: about WikiText-2's
STEPS = 1_000_000  # of the run that the plan is told of: never reached


@dataclass(frozen=True)
class Shape:
    """An LSTM language model and how it reads; `batch` is B and `window` T."""

    kind: Literal["char", "word"]
    layers: int
    hidden: int
    batch: int
    window: int
    vocab_size: int
    embed: int | None = None
    tied: bool = True
    dropout: float = 0.0

    @property
    def name(self) -> str:
        """Describe the shape in a few words."""
        return f"{self.network}, {self.batch} x {self.window}"

    @property
    def network(self) -> str:
        """Describe the network alone."""
        kind = {"char": "characters", "word": "words"}[self.kind]
        tied = "" if self.kind == "char" else ", tied" if self.tied else ", untied"
        return f"{self.layers} x {self.hidden}, {self.vocab_size:,} {kind}{tied}"

    @property
    def tokens(self) -> int:
        """Count the tokens of one step, B T."""
        return self.batch * self.window


CHARACTERS = tuple(Shape("char", layers, 512, 64, 64, vocab_size=65) for layers in (1, 2))
WORDS = tuple(
    Shape("word", 2, 200, 20, 35, vocab_size=33_278, embed=200, tied=tied, dropout=0.2)
    for tied in (True, False)
)
LARGE_WORDS = Shape("word", 2, 650, 20, 35, vocab_size=33_278, embed=650, dropout=0.5)
QUICK_CHARACTERS = tuple(Shape("char", layers, 16, 4, 8, vocab_size=20) for layers in (1, 2))
QUICK_WORDS = tuple(
    Shape("word", 2, 12, 4, 8, vocab_size=300, embed=12, tied=tied, dropout=0.2)
    for tied in (True, False)
)


def planned(shape: Shape, threads: int, bf16: bool) -> Plan:
    """Make charlm's own plan for a shape: the head, the optimizer and the rest are its choice."""
    request = TrainRequest(
        steps=STEPS,
        layers=shape.layers,
        hidden=shape.hidden,
        embed=shape.embed,
        tie=shape.tied,
        dropout=shape.dropout,
        batch=shape.batch,
        bptt=shape.window,
    )
    facts = CorpusFacts(TOKENS, shape.vocab_size, shape.kind)
    return make_plan(request, facts, Machine.assumed(threads, bf16))
