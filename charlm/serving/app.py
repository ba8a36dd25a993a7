"""The routes of the server, in Starlette: requests in, answers of the engine out."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from charlm.generation.suggest import Suggestions
from charlm.options import did_you_mean
from charlm.serving import fields
from charlm.serving.answers import Answer
from charlm.serving.bodies import read_object
from charlm.serving.completions import CompletionParser, Wanted, check_model, text_ids
from charlm.serving.doors import ROUTES, Doors
from charlm.serving.facts import ModelFacts
from charlm.serving.options import ServeOptions
from charlm.serving.orders import Engine, Piece
from charlm.serving.page import page
from charlm.serving.refusals import MISTAKE, Refusal, bad, refused
from charlm.serving.work import Work, unless_gone, until_gone

SUGGESTIONS = 5
CLOSING_SECONDS = 1.0  # for what the engine still does when all clients are gone
STOPPED = Refusal(503, "the server was stopped", code="stopped")
SENT_EVENTS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
]


def make_app(
    engine: Engine, facts: ModelFacts, options: ServeOptions, tell: Callable[[str], None]
) -> ASGIApp:
    """Make the application; it closes the engine when the server stops."""
    site = Site(engine, facts, options)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(engine.close, CLOSING_SECONDS)

    app = Starlette(
        routes=[
            Route("/health", site.health),
            Route("/v1/models", site.models),
            Route("/v1/models/{name:path}", site.model),
            Route("/v1/completions", site.completions, methods=["POST"]),
            Route("/v1/suggest", site.suggest, methods=["POST"]),
            Route("/", site.page),
        ],
        exception_handlers={
            404: _no_route,
            405: _no_method,
            Refusal: _refuse,
            Exception: _fail,  # and it is raised on, to the doors, which log it
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return Doors(app, options, tell)


class Site:
    """What each route does."""

    def __init__(self, engine: Engine, facts: ModelFacts, options: ServeOptions) -> None:
        self._engine, self._facts, self._limits = engine, facts, options.limits
        self._parser = CompletionParser(facts, options.limits)
        self._page, self._policy = page()

    async def health(self, request: Request) -> Response:
        """Tell that the server is there."""
        return JSONResponse({"status": "ok"})

    async def page(self, request: Request) -> Response:
        """Give the page for people."""
        headers = {"Content-Security-Policy": self._policy, "X-Frame-Options": "DENY"}
        return Response(self._page, media_type="text/html", headers=headers)

    async def models(self, request: Request) -> Response:
        """List the one model."""
        return JSONResponse({"object": "list", "data": [self._described()]})

    async def model(self, request: Request) -> Response:
        """Describe the model by its name."""
        check_model(request.path_params["name"], self._facts)
        return JSONResponse(self._described())

    async def suggest(self, request: Request) -> Response:
        """Suggest the next words."""
        body = await read_object(request, self._limits)
        fields.known_only(body, ("text", "k", "model"))
        check_model(body.get("model"), self._facts)
        if "text" not in body:
            raise bad("text is missing", "text")
        text = fields.text("text", body["text"])
        k = fields.whole("k", body.get("k", SUGGESTIONS), 1, self._limits.max_suggestions)
        most = self._limits.max_prompt_tokens
        await asyncio.to_thread(text_ids, self._facts.tokenizer, text, most, "text")
        with Work(self._engine) as work:
            work.suggest(text, k)
            found = await _unless_gone(work.next(), request.receive)
            if found is None:
                return Response(status_code=499)
        assert isinstance(found[1], Suggestions)
        return JSONResponse(found[1].to_json())

    async def completions(self, request: Request) -> Response | ASGIApp:
        """Complete prompts, at once or as a stream."""
        body = await read_object(request, self._limits)
        wanted = await asyncio.to_thread(self._parser.parse, body)
        if wanted.stream:
            return self._streamed(wanted)
        answer = Answer(self._facts, wanted.orders)
        with Work(self._engine) as work:
            work.complete(wanted.orders)
            found = await _unless_gone(_collect(work, answer), request.receive)
        return JSONResponse(answer.whole()) if found else Response(status_code=499)

    def _streamed(self, wanted: Wanted) -> ASGIApp:
        """Answer by server-sent events."""

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            with Work(self._engine) as work:
                work.complete(wanted.orders)  # refused, if at all, before the answer begins
                start = {"type": "http.response.start", "status": 200, "headers": SENT_EVENTS}
                await send(start)
                answer = Answer(self._facts, wanted.orders)
                events = _events(work, answer, wanted.include_usage)
                try:
                    async with aclosing(unless_gone(events, receive)) as present:
                        async for event in present:
                            await send(_body(event, more=True))
                except asyncio.CancelledError:
                    await send(_body(_event(STOPPED.to_json()), more=True))
                await send(_body(b"", more=False))

        return respond

    def _described(self) -> dict[str, Any]:
        facts = self._facts
        return {
            "id": facts.name,
            "object": "model",
            "created": facts.created,
            "owned_by": "charlm",
        }


async def _collect(work: Work, answer: Answer) -> bool:
    while not answer.complete:
        number, piece = await work.next()
        assert isinstance(piece, Piece)
        answer.take(number, piece)
    return True


async def _events(work: Work, answer: Answer, include_usage: bool) -> AsyncIterator[bytes]:
    """Give the events of a stream; one that fails ends with an error and no [DONE]."""
    try:
        while not answer.complete:
            found = await work.next_or_ping()
            if found is None:
                yield b": still there\n\n"
                continue
            number, piece = found
            assert isinstance(piece, Piece)
            answer.take(number, piece)
            yield _event(answer.chunk(number, piece, include_usage))
    except Refusal as refusal:
        yield _event(refusal.to_json())
        return
    if include_usage:
        yield _event(answer.last_chunk())
    yield b"data: [DONE]\n\n"


def _body(data: bytes, more: bool) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


async def _unless_gone(coming: Any, receive: Receive) -> Any:  # noqa: ANN401
    """Wait for a result; None as soon as the client has left."""
    task, gone = asyncio.ensure_future(coming), asyncio.create_task(until_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _refuse(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, Refusal)
    return refused(fault)


async def _fail(request: Request, fault: Exception) -> Response:
    return refused(MISTAKE)


async def _no_route(request: Request, fault: Exception) -> Response:
    path = request.url.path
    if "chat" in path or "responses" in path:
        hint = "models here continue text and hold no chat: POST /v1/completions"
    else:
        close = did_you_mean(path, ROUTES)
        hint = close or f"there are {', '.join(ROUTES)}"
    return refused(Refusal(404, f"there is no such path; {hint}", code="unknown_path"))


async def _no_method(request: Request, fault: Exception) -> Response:
    allowed = getattr(fault, "headers", None) or {}
    return refused(
        Refusal(
            405,
            f"{request.url.path} does not take {request.method[:10]}",
            code="method_not_allowed",
            headers=dict(allowed),
        )
    )
