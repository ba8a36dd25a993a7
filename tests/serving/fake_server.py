"""A stand-in for `charlm serve`: the routes that the page uses, with answers known beforehand.

It can be slow, busy, locked, broken, or gone, as a test wishes.
"""

import asyncio
import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from charlm.serving.page import page

WORDS = {"the": 0.4, "then": 0.2, "there": 0.15, "cat": 0.1, "expression": 0.05, "expert": 0.04}
STORY = " Once there was a cat.\nIt sat on the mat, and did not mind."
PATHS = ("/v1/suggest", "/v1/completions", "/v1/models")


def nats(token):
    """Surprise that grows with a token's letters, so that all colours are met."""
    return 0.2 * len(token.strip()) ** 1.6 + 0.05


@dataclass
class Wishes:
    """How the server is to behave, and what it was asked."""

    delay: float = 0.0  # s before a suggestion
    pause: float = 0.0  # s between the pieces of a stream
    key: str = ""
    busy: int = 0  # answers of 429 that come first
    failure: str = ""  # words of a 500
    break_after: int = 0  # pieces of a stream till the connection breaks
    limit: int = 4096  # characters of a prompt
    asked: list = field(default_factory=list)  # (path, body)
    left: int = 0  # streams that the client left
    open: int = 0  # streams that are going on


class Fake:
    """The server in a thread of its own, on a port that stays its own between stop and start."""

    def __init__(self):
        self.wishes = Wishes()
        self.port = None
        self.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/"

    def start(self):
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", self.port or 0))
        self.port = self._socket.getsockname()[1]
        routes = [
            Route("/", self._page),
            Route("/health", lambda request: JSONResponse({"status": "ok"})),
            *(Route(path, self._guarded, methods=["GET", "POST"]) for path in PATHS),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), log_level="critical", timeout_graceful_shutdown=0, ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)

    def stop(self):
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _page(self, request):
        content, policy = page()
        return Response(
            content, media_type="text/html", headers={"Content-Security-Policy": policy}
        )

    async def _guarded(self, request):
        path, wishes = request.url.path, self.wishes
        body = json.loads(await request.body() or b"{}")
        wishes.asked.append((path, body))
        if wishes.key and request.headers.get("authorization") != f"Bearer {wishes.key}":
            return refusal(401, "this server asks for its key")
        if wishes.busy and path != "/v1/models":
            wishes.busy -= 1
            return refusal(429, "the queue is full", {"Retry-After": "1"})
        if wishes.failure and path != "/v1/models":
            return refusal(500, wishes.failure)
        if len(body.get("prompt", body.get("text", ""))) > wishes.limit:
            message = f"prompt has more tokens than the {wishes.limit} that it may"
            return refusal(400, message, code="context_length_exceeded")
        if path == "/v1/models":
            return JSONResponse({"object": "list", "data": [{"id": "fake", "object": "model"}]})
        return await (self._suggest(body) if path == "/v1/suggest" else self._complete(body))

    async def _suggest(self, body):
        await asyncio.sleep(self.wishes.delay)
        typed = re.search(r"\w*\Z", body["text"]).group()
        found = [
            {"word": word, "completion": word[len(typed) :], "probability": share}
            for word, share in WORDS.items()
            if word.startswith(typed)
        ][: body["k"]]
        return JSONResponse(
            {"text": body["text"], "suggestions": found, "unexplored": 0.01, "unsearched": 0.01}
        )

    async def _complete(self, body):
        if not body.get("stream"):
            return JSONResponse(echoed(body["prompt"], body["logprobs"]))
        return StreamingResponse(self._story(body), media_type="text/event-stream")

    async def _story(self, body):
        pieces = re.findall(r"\s*\S+|\s+", STORY)[: body["max_tokens"]]
        self.wishes.open += 1
        try:
            yield ": ping\n\n"
            for number, piece in enumerate(pieces):
                if self.wishes.break_after and number == self.wishes.break_after:
                    await asyncio.sleep(0.2)  # what was sent has arrived
                    raise ConnectionResetError("as the test wishes")
                await asyncio.sleep(self.wishes.pause)
                yield event({"choices": [{"index": 0, "text": piece, "finish_reason": None}]})
            yield event({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
            yield "data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.wishes.left += 1
            raise
        finally:
            self.wishes.open -= 1


def event(value):
    return f"data: {json.dumps(value)}\n\n"


def refusal(status, message, headers=None, code=None):
    error = {"message": message, "type": "error", "param": None, "code": code}
    return JSONResponse({"error": error}, status, headers)


def echoed(prompt, most):
    """The prompt with its surprise, and one token more, as echo and logprobs give it."""
    tokens = [*re.findall(r"\s?\w+|\s|[^\w\s]", prompt), " end"]
    offsets, at = [], 0
    for token in tokens:
        offsets.append(at)
        at += len(token)
    logs = [None, *(-nats(token) for token in tokens[1:])]
    guesses = {" the": -0.9, " a": -1.6, "1": -2.5, ",": -3.0, "\n": -3.5, " cat": -4.0}
    top = [
        None if log is None else dict(list(({tokens[n]: log} | guesses).items())[:most])
        for n, log in enumerate(logs)
    ]
    logprobs = {"tokens": tokens, "token_logprobs": logs, "top_logprobs": top}
    choice = {"index": 0, "text": "".join(tokens), "finish_reason": "length"}
    usage = {"prompt_tokens": len(tokens) - 1, "completion_tokens": 1, "total_tokens": len(tokens)}
    return {"choices": [choice | {"logprobs": logprobs | {"text_offset": offsets}}], "usage": usage}
