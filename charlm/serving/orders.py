"""What the engine is asked for, and what it answers: plain values, no HTTP and no threads."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from charlm.generation.languages import Language
from charlm.generation.options import SamplingOptions
from charlm.generation.suggest import Suggestions


class Constraint(NamedTuple):
    """The language that a text must be of, and the field of the request that asked for it.

    begun: what the text begins with and the prompt had already: that is not read
    """

    field: str
    language: Language
    begun: str = ""


@dataclass(frozen=True)
class Order:
    """A completion that was asked for, checked.

    prompt:   ids (N,), without the boundary that every text begins with
    count:    samples of it, numbered from 0
    echo:     whether the prompt's tokens are answered too, before the first new one
    logprobs: how many of the most probable tokens are told beside each; None for no log p at all
    whole:    whether what is written of a sample is told when it has ended, in one piece
    constraint: what is written must be of its language; None where it may be anything
    request:    what it was ordered by: all orders of one wait together, and count as one
    """

    prompt: np.ndarray
    options: SamplingOptions
    max_tokens: int
    stops: tuple[str, ...] = ()
    seed: int | None = None
    count: int = 1
    echo: bool = False
    logprobs: int | None = None
    whole: bool = False
    constraint: Constraint | None = None
    request: object = None


@dataclass(frozen=True)
class Token:
    """A token of an answer.

    log_prob: under the model itself, before temperature and rules, in nats; None for the first of a
              text, as clients expect it there
    top:      the most probable tokens in its place and their log p, most probable first
    offset:   of its first character in the answer's text
    """

    text: str
    log_prob: float | None
    top: tuple[tuple[str, float], ...]
    offset: int


class Piece(NamedTuple):
    """The next piece of one sample. `finish` is "stop" or "length" in a sample's last piece."""

    sample: int
    text: str
    tokens: tuple[Token, ...] = ()
    generated: int = 0  # tokens that this piece adds to the usage
    finish: str | None = None


@dataclass(frozen=True)
class Failure:
    """Nothing more will come: the model failed, or the field of the request that is named.

    message: fit for a client
    """

    message: str
    field: str | None = None


class Busy(Exception):
    """The queue is full; `seconds` is when to come again."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the queue is full; come again in {seconds:.0f} s")
        self.seconds = seconds


class Receiver(Protocol):
    """Takes what the engine answers, in the engine's own thread; must return at once."""

    def __call__(self, answer: Piece | Failure | Suggestions) -> None:
        """Take the next answer."""


class Ticket(Protocol):
    """A piece of work that the engine has taken on."""

    def cancel(self) -> None:
        """Nobody waits any more: stop within a step. May be called from any thread, twice too."""


class Engine(Protocol):
    """Works on all orders together, a step of all of them at a time, in a thread of its own."""

    def complete(self, order: Order, receive: Receiver) -> Ticket:
        """Take an order; raise Busy where the queue is full. Every sample ends with a `finish`."""

    def suggest(self, text: str, k: int, receive: Receiver) -> Ticket:
        """Suggest next words: one Suggestions, or a Failure; raise Busy as above."""

    def close(self, seconds: float) -> None:
        """Take nothing more; finish what is going on, or cut it after so many seconds."""
