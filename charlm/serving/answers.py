"""Answers to requests for completions, in OpenAI's form: whole, or piece by piece."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

from charlm.serving.facts import ModelFacts
from charlm.serving.orders import Order, Piece, Token
from charlm.serving.refusals import Refusal


class Answer:
    """The samples of some orders while they come in; choices are numbered prompt by prompt."""

    def __init__(self, facts: ModelFacts, orders: Sequence[Order]) -> None:
        self._orders = orders
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": facts.name,
        }
        self._first = [0]
        for order in orders:
            self._first.append(self._first[-1] + order.count)
        self._pieces: list[list[Piece]] = [[] for _ in range(self._first[-1])]
        self._generated, self._finished = 0, 0

    @property
    def complete(self) -> bool:
        """Tell whether every sample is there to its end."""
        return self._finished == len(self._pieces)

    def take(self, order: int, piece: Piece) -> int:
        """Take a piece of an order's sample; give the number of its choice."""
        choice = self._first[order] + piece.sample
        self._pieces[choice].append(piece)
        self._generated += piece.generated
        self._finished += piece.finish is not None
        return choice

    def chunk(self, order: int, piece: Piece, include_usage: bool) -> dict[str, Any]:
        """Give a piece, which was taken, as an event of a stream."""
        number = self._first[order] + piece.sample
        self._pieces[number].clear()  # nobody will ask for it again
        choice = _choice(number, [piece], self._orders[order].logprobs)
        return self._head | {"choices": [choice]} | ({"usage": None} if include_usage else {})

    def last_chunk(self) -> dict[str, Any]:
        """Give the event that tells the usage, after all others."""
        return self._head | {"choices": [], "usage": self._usage()}

    def whole(self) -> dict[str, Any]:
        """Give everything at once."""
        choices = []
        for order, first in zip(self._orders, self._first, strict=False):
            for number in range(first, first + order.count):
                choices.append(_choice(number, self._pieces[number], order.logprobs))
        return self._head | {"choices": choices, "usage": self._usage()}

    def _usage(self) -> dict[str, int]:
        read = sum(len(order.prompt) for order in self._orders)
        return {
            "prompt_tokens": read,
            "completion_tokens": self._generated,
            "total_tokens": read + self._generated,
        }


def error_event(refusal: Refusal) -> dict[str, Any]:
    """Give what ends a stream that failed."""
    return refusal.to_json()


def _choice(number: int, pieces: Sequence[Piece], logprobs: int | None) -> dict[str, Any]:
    tokens = [token for piece in pieces for token in piece.tokens]
    return {
        "text": "".join(piece.text for piece in pieces),
        "index": number,
        "logprobs": None if logprobs is None else _logprobs(tokens),
        "finish_reason": pieces[-1].finish if pieces else None,
    }


def _logprobs(tokens: Sequence[Token]) -> dict[str, Any]:
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.log_prob for token in tokens],
        "top_logprobs": [_top(token) for token in tokens],
        "text_offset": [token.offset for token in tokens],
    }


def _top(token: Token) -> dict[str, float] | None:
    """Give the most probable tokens by their text, and the token's own; of equal texts the best."""
    if token.log_prob is None:
        return None
    found: dict[str, float] = {}
    for text, log_prob in (*token.top, (token.text, token.log_prob)):
        found[text] = max(log_prob, found.get(text, log_prob))
    return found
