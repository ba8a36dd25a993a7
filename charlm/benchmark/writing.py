"""How fast charlm writes, beside the textbook loop, in turn, each in a process with one thread.

A process of its own matters to the textbook loop: nn.LSTM makes megabytes of memory anew for every
token, and what that costs hangs on what else the process has done with its memory. So it races as
it is met, alone with PyTorch, and once more with what it frees kept at hand, as charlm's training
has it, which is the best that can be made of it without a change. Legend: S streams.
"""

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch

from charlm.benchmark.ceilings import Reading
from charlm.benchmark.child import ONE_THREAD, Task
from charlm.benchmark.clock import Seconds, alternate, median_ratio
from charlm.benchmark.ids import Ids
from charlm.benchmark.networks import weights_touched, writing_network
from charlm.benchmark.players import Contestants, Facts, Player
from charlm.benchmark.shapes import Shape
from charlm.benchmark.textbook import writers
from charlm.benchmark.ways import WAYS, Way, Writer

TOKENS, QUICK_TOKENS = 256, 4  # that each writes in its turn
STREAMS, QUICK_STREAMS = 64, 4  # side by side, against one; each of them writes
FEWER = 4  # times fewer tokens
TEXTBOOK, KEPT, READING = "textbook loop", "textbook loop, memory kept", "reading"


@dataclass(frozen=True)
class WritingShape:
    """A network to write with; `full`: it has one softmax, whatever head charlm's plan chooses."""

    shape: Shape
    full: bool = False

    @property
    def name(self) -> str:
        """Describe the network in a few words."""
        head = "full softmax" if self.full else "charlm's own head"
        return f"{self.shape.network}, {head}"


CHARACTERS = WritingShape(Shape("char", 2, 256, 64, 64, vocab_size=65, embed=256), full=True)
WORDS = Shape("word", 2, 200, 20, 35, vocab_size=33_278, embed=200)
WRITTEN = (CHARACTERS, WritingShape(WORDS, full=True), WritingShape(WORDS))
QUICK = (WritingShape(Shape("word", 2, 8, 4, 8, vocab_size=5_000, embed=8)),)


@dataclass(frozen=True)
class WaySpeed:
    """How fast one way of charlm's writes; speeds in tokens/s, medians of several.

    ratio:      to the textbook loop's speed, of one stream; `kept_ratio` with its memory kept
    streams:    so many side by side
    many:       the speed of all of them together, and `many_ratio` that to one stream's
    share:      of the speed at which the weights that a token needs can be read, of one stream
    """

    way: str
    exact: bool
    tokens_per_second: float
    ratio: float
    kept_ratio: float
    streams: int
    many: float
    many_ratio: float
    share: float


@dataclass(frozen=True)
class Writing:
    """The ways of charlm's to write with a network, and the textbook loop's speed in tokens/s.

    full:            whether charlm's head is one softmax, as the textbook's always is
    bytes_per_token: of the weights in float32 that each token needs
    reading:         bytes/s at which one thread reads as many bytes in a row, over and over
    """

    name: str
    kind: str
    full: bool
    textbook: float
    textbook_kept: float
    bytes_per_token: int
    reading: float
    ways: list[WaySpeed]


def race_writing(shape: WritingShape, ids: Ids, rounds: int, quick: bool) -> Writing:
    """Race all ways of charlm's against the textbook loop.

    ids: of a text; what is written is as unevenly frequent as they are
    """
    counts = np.bincount(ids.ids, minlength=shape.shape.vocab_size).tolist()
    tokens, streams = (QUICK_TOKENS, QUICK_STREAMS) if quick else (TOKENS, STREAMS)
    own = asdict(shape) | {"counts": counts, "tokens": tokens, "streams": streams}
    its = asdict(shape.shape) | {"counts": counts, "tokens": tokens}
    with (
        Player(own_writers, own, ONE_THREAD) as ours,
        Player(writers, its | {"name": TEXTBOOK, "keep": False}, ONE_THREAD) as textbook,
        Player(writers, its | {"name": KEPT, "keep": True}, ONE_THREAD) as kept,
    ):
        seconds = alternate(
            {**textbook.contestants, **ours.contestants, **kept.contestants}, rounds
        )
    offered = [way for way in WAYS if way.name in ours.facts["ways"]]
    bytes_per_token = ours.facts["bytes_per_token"]
    return Writing(
        shape.name,
        shape.shape.kind,
        shape.full,
        textbook=tokens / statistics.median(seconds[TEXTBOOK]),
        textbook_kept=tokens / statistics.median(seconds[KEPT]),
        bytes_per_token=bytes_per_token,
        reading=tokens * bytes_per_token / statistics.median(seconds[READING]),
        ways=[_speed(way, seconds, tokens, streams) for way in offered],
    )


def own_writers(task: Task) -> tuple[Facts, Contestants]:
    """Make charlm's contestants, each way with one stream and with many, and reading itself."""
    torch.set_num_threads(1)
    tokens, streams = task["tokens"], task["streams"]
    network = writing_network(Shape(**task["shape"]), task["full"], np.array(task["counts"]))
    weights = weights_touched(network.config)
    reading, offered = Reading(weights), list[str]()
    contestants: dict[str, Callable[[], object]] = {
        READING: lambda: [reading() for _ in range(tokens)]
    }
    for way in WAYS:
        predictor = way.make(network)
        if predictor is not None:
            offered.append(way.name)
            for number, length in ((1, tokens), (streams, tokens // FEWER)):
                writer = Writer(predictor, number)
                contestants[f"{way.name} {number}"] = partial(writer.write, length)
    return {"bytes_per_token": 4 * weights, "ways": offered}, contestants


def _speed(way: Way, seconds: Seconds, tokens: int, streams: int) -> WaySpeed:
    one, many = seconds[f"{way.name} 1"], seconds[f"{way.name} {streams}"]
    return WaySpeed(
        way.name,
        way.exact,
        tokens_per_second=tokens / statistics.median(one),
        ratio=median_ratio(seconds[TEXTBOOK], one),
        kept_ratio=median_ratio(seconds[KEPT], one),
        streams=streams,
        many=streams * (tokens // FEWER) / statistics.median(many),
        many_ratio=streams / FEWER * median_ratio(one, many),
        share=median_ratio(seconds[READING], one) * way.numbers / 4,
    )
