"""What the engine says, in the form of OpenAI's completions: in one answer, or in a stream."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from charlm.serving.orders import Piece, Token
from charlm.serving.refusals import Refusal
from charlm.serving.requests import CompletionRequest
from charlm.serving.work import Answer, Work

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
LONG = 1 << 16  # bytes that take long enough to write that others must not wait for more


@dataclass
class _Part:
    """What was said of one choice."""

    texts: list[str] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    finish: str | None = None

    def add(self, piece: Piece) -> None:
        self.texts.append(piece.text)
        self.tokens.extend(piece.tokens)
        self.finish = piece.finish or self.finish

    def to_json(self, index: int, logprobs: bool) -> dict[str, Any]:
        return {
            "index": index,
            "text": "".join(self.texts),
            "logprobs": logprobs_json(self.tokens) if logprobs else None,
            "finish_reason": self.finish,
        }


class Completion:
    """The answer to one request, while it grows: choice = number of the prompt times n + sample."""

    def __init__(self, request: CompletionRequest, model: str, prompt_tokens: int) -> None:
        self._request = request
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
        }
        self._prompt_tokens, self._generated = prompt_tokens, 0
        self._parts: dict[int, _Part] = {}
        self._open = len(request.prompts) * request.count

    @property
    def complete(self) -> bool:
        """Tell whether every choice has ended."""
        return self._open == 0

    def add(self, answers: Iterable[Answer]) -> None:
        """Take pieces of it."""
        for order, piece in answers:
            assert isinstance(piece, Piece)
            index = order * self._request.count + piece.sample
            self._parts.setdefault(index, _Part()).add(piece)
            self._generated += piece.generated
            self._open -= piece.finish is not None

    async def whole(self) -> bytes:
        """Give all of it in JSON; others have their turn behind each choice, which may be long."""
        choices = []
        for index, part in sorted(self._parts.items()):
            choices.append(written(part.to_json(index, self._logprobs)))
            await asyncio.sleep(0)
        head, usage = written(self._head)[:-1], written(self._usage())
        return b'%s,"choices":[%s],"usage":%s}' % (head, b",".join(choices), usage)

    async def events(self) -> bytes:
        """Give what came since the last time as events of a stream, and its end where it ends."""
        usual = {"usage": None} if self._request.include_usage else {}
        parts, self._parts = self._parts, {}
        events, size = [], 0
        for index, part in parts.items():
            if part.finish or part.tokens or any(part.texts):
                choices = [part.to_json(index, self._logprobs)]
                events.append(event(self._head | {"choices": choices} | usual))
                size += len(events[-1])
                if size > LONG:  # others have their turn
                    await asyncio.sleep(0)
                    size = 0
        if self.complete:
            if self._request.include_usage:
                events.append(event(self._head | {"choices": [], "usage": self._usage()}))
            events.append(DONE)
        return b"".join(events)

    @property
    def _logprobs(self) -> bool:
        return self._request.logprobs is not None

    def _usage(self) -> dict[str, int]:
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": self._generated,
            "total_tokens": self._prompt_tokens + self._generated,
        }


class EventStream(Response):
    """A completion that is sent while it grows (WHATWG: Server-sent events).

    A comment breaks every silence of `ping_seconds`: so a client that has left is noticed too. What
    goes wrong after the beginning becomes an event with an error, and no [DONE] follows.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        work: Work,
        completion: Completion,
        ping_seconds: float,
        explain: Callable[[Refusal], Refusal],
    ) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._work, self._completion = work, completion
        self._ping_seconds, self._explain = ping_seconds, explain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        async with self._work.watched(receive):
            with suppress(OSError):  # the client has left
                await send(start)
                async for data in self._events():
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                await send({"type": "http.response.body", "body": b""})

    async def _events(self) -> AsyncIterator[bytes]:
        try:
            while not self._completion.complete:
                answers = await self._work.answers(self._ping_seconds)
                if self._work.gone:
                    return
                self._completion.add(answers)
                if data := await self._completion.events() if answers else PING:
                    yield data
        except Refusal as refusal:
            yield event(self._explain(refusal).to_json())


def event(value: dict[str, Any]) -> bytes:
    """Write an event of a stream."""
    # in ASCII: some clients take U+0085 or U+2028 for the end of a line
    return b"data: %s\n\n" % written(value)


def written(value: dict[str, Any]) -> bytes:
    """Write JSON in ASCII."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def logprobs_json(tokens: Sequence[Token]) -> dict[str, Any]:
    """Give the four arrays of the legacy form; of a token without log p both are null."""
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [_finite(token.log_prob) for token in tokens],
        "top_logprobs": [_alternatives(token) for token in tokens],
        "text_offset": [token.offset for token in tokens],
    }


def _alternatives(token: Token) -> dict[str, float] | None:
    """Give the alternatives by their text, with the token itself, which may be one more.

    Of those that look the same the most probable counts. lm-evaluation-harness compares the
    token's own log p with the largest: where the token is the first, they are one number.
    """
    own = _finite(token.log_prob)
    if own is None:
        return None
    found: dict[str, float] = {}
    for text, log_prob in token.top:
        found.setdefault(text, own if text == token.text else max(log_prob, LEAST))
    found.setdefault(token.text, own)
    return found


LEAST = -9999.0  # JSON has no infinity


def _finite(log_prob: float | None) -> float | None:
    return None if log_prob is None else max(log_prob, LEAST)
