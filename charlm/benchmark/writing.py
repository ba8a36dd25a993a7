"""How fast charlm writes, beside the textbook loop with the same weights, in turn in one process.

Both have one thread. Legend: S streams.
"""

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from charlm.benchmark.ceilings import Reading
from charlm.benchmark.child import ONE_THREAD, Task, ask_child
from charlm.benchmark.clock import Seconds, alternate, median_ratio
from charlm.benchmark.ids import Ids
from charlm.benchmark.networks import textbook_of, weights_touched, writing_network
from charlm.benchmark.shapes import Shape
from charlm.benchmark.textbook import TextbookWriter
from charlm.benchmark.ways import WAYS, Way, Writer

TOKENS, QUICK_TOKENS = 256, 4  # that each writes in its turn
STREAMS, QUICK_STREAMS = 64, 4  # side by side, against one; each of them writes
FEWER = 4  # times fewer tokens
TEXTBOOK, READING = "the textbook loop", "reading"


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
QUICK = (
    WritingShape(Shape("char", 2, 8, 4, 8, vocab_size=20, embed=8), full=True),
    WritingShape(Shape("word", 2, 8, 4, 8, vocab_size=5_000, embed=8)),
)


@dataclass(frozen=True)
class WaySpeed:
    """How fast one way of charlm's writes; speeds in tokens/s, medians of several.

    ratio:      to the textbook loop's speed, of one stream
    streams:    so many side by side
    many:       the speed of all of them together, and `many_ratio` that to one stream's
    share:      of the speed at which the weights that a token needs can be read, of one stream
    """

    way: str
    exact: bool
    tokens_per_second: float
    ratio: float
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
    bytes_per_token: int
    reading: float
    ways: list[WaySpeed]


def race_writing(shape: WritingShape, ids: Ids, rounds: int, quick: bool) -> Writing:
    """Race all ways of charlm's against the textbook loop, in a process with one thread.

    ids: of a text; what is written is as unevenly frequent as they are
    """
    counts = np.bincount(ids.ids, minlength=shape.shape.vocab_size).tolist()
    task = asdict(shape) | {"counts": counts, "rounds": rounds, "quick": quick}
    found = ask_child(race_here, task, ONE_THREAD)
    return Writing(**found | {"ways": [WaySpeed(**way) for way in found["ways"]]})


def race_here(task: Task) -> dict[str, Any]:
    """Race in this process, as a task describes it, and give a Writing: the child's part."""
    torch.set_num_threads(1)
    shape = WritingShape(Shape(**task["shape"]), task["full"])
    tokens, streams = (QUICK_TOKENS, QUICK_STREAMS) if task["quick"] else (TOKENS, STREAMS)
    network = writing_network(shape.shape, shape.full, np.array(task["counts"]))
    words = [f"w{number}" for number in range(network.config.vocab_size)]
    textbook = TextbookWriter(textbook_of(network), words)
    weights = weights_touched(network.config)
    reading = Reading(weights)
    contestants: dict[str, Callable[[], object]] = {
        TEXTBOOK: lambda: textbook.write(tokens),
        READING: lambda: [reading() for _ in range(tokens)],
    }
    ways = []
    for way in WAYS:
        predictor = way.make(network)
        if predictor is not None:
            ways.append(way)
            for number in (1, streams):
                writer = Writer(predictor, number)
                length = tokens if number == 1 else tokens // FEWER
                contestants[f"{way.name} {number}"] = partial(writer.write, length)
    seconds = alternate(contestants, task["rounds"])
    speeds = [_speed(way, seconds, tokens, streams) for way in ways]
    bytes_per_token = 4 * weights
    writing = Writing(
        shape.name,
        shape.shape.kind,
        shape.full,
        textbook=tokens / statistics.median(seconds[TEXTBOOK]),
        bytes_per_token=bytes_per_token,
        reading=tokens * bytes_per_token / statistics.median(seconds[READING]),
        ways=speeds,
    )
    return asdict(writing)


def _speed(way: Way, seconds: Seconds, tokens: int, streams: int) -> WaySpeed:
    one, many = seconds[f"{way.name} 1"], seconds[f"{way.name} {streams}"]
    return WaySpeed(
        way.name,
        way.exact,
        tokens_per_second=tokens / statistics.median(one),
        ratio=median_ratio(seconds[TEXTBOOK], one),
        streams=streams,
        many=streams * (tokens // FEWER) / statistics.median(many),
        many_ratio=streams / FEWER * median_ratio(one, many),
        share=median_ratio(seconds[READING], one) * way.numbers / 4,
    )
