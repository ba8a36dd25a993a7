"""The routes of the server: health, models, completions, suggestions, and the page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from charlm.generation.suggest import Suggestions
from charlm.options import did_you_mean
from charlm.serving.access import Gate, Lock
from charlm.serving.answers import Completion, EventStream
from charlm.serving.bodies import read_object
from charlm.serving.constraints import ConstraintMaker
from charlm.serving.options import ServeOptions
from charlm.serving.orders import Engine, Order
from charlm.serving.pace import Pace
from charlm.serving.page import page
from charlm.serving.prompts import PromptReader
from charlm.serving.refusals import Refusal
from charlm.serving.requests import CompletionRequest, read_completion, read_suggestion
from charlm.serving.work import Work
from charlm.text.tokenizers import Tokenizer

CHAT = "charlm completes text and does not chat: POST /v1/completions with a 'prompt'"
PATHS = ("/", "/health", "/v1/models", "/v1/completions", "/v1/suggest")
METHODS = ("GET", "POST")
OTHERS = {"/v1/chat/completions": CHAT, "/v1/responses": CHAT, "/v1/messages": CHAT}
PAGE_HEADERS = {
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

STOPPING = "the server is stopping"
GONE = Response(status_code=499)  # nobody reads it


@dataclass(frozen=True)
class Served:
    """The model that is served, as its clients see it.

    created:  seconds since 1970
    defaults: options of a completion that count where a request has none, in place of OpenAI's
    """

    name: str
    tokenizer: Tokenizer
    created: int = 0
    defaults: Mapping[str, Any] = field(default_factory=dict)


class Service:
    """Answers requests with an engine."""

    def __init__(self, engine: Engine, served: Served, options: ServeOptions) -> None:
        self._engine, self._served, self._options = engine, served, options
        self._prompts = PromptReader(served.tokenizer, options.max_prompt)
        self._constraints = ConstraintMaker(served.tokenizer, options)
        self._pace = Pace()
        self.stopping = False

    async def page(self, request: Request) -> Response:
        """Give the page."""
        content, policy = page()
        headers = PAGE_HEADERS | {"Content-Security-Policy": policy}
        return Response(content, media_type="text/html", headers=headers)

    async def health(self, request: Request) -> Response:
        """Tell that the server is there; while it is stopping, that it is not for long."""
        if self.stopping:
            return JSONResponse({"status": "stopping"}, 503)
        return JSONResponse({"status": "ok"})

    async def models(self, request: Request) -> Response:
        """List the one model."""
        return JSONResponse({"object": "list", "data": [self._model()]})

    async def model(self, request: Request) -> Response:
        """Tell of the model, by its name."""
        name = request.path_params["name"]
        if name != self._served.name:
            message = f"there is no model {name!r:.60} here: this is '{self._served.name}'"
            raise Refusal(404, message, code="model_not_found")
        return JSONResponse(self._model())

    async def complete(self, request: Request) -> Response:
        """Complete prompts: at once, or in a stream as the tokens come."""
        given, served = await read_object(request, self._options), self._served
        size = served.tokenizer.vocab_size
        asked = read_completion(given, self._options, served.name, size, served.defaults)
        numbers, one = range(len(asked.prompts)), object()
        orders = [await self._order(asked, number, one) for number in numbers]
        tokens = sum(len(order.prompt) for order in orders)
        completion = Completion(asked, served.name, tokens)
        work = Work(self._options.request_seconds)
        work.complete(self._engine, orders)
        if asked.stream:
            ping = self._options.ping_seconds
            return EventStream(work, completion, self._pace, ping, self._explained)
        async with work.watched(request.receive):
            while not (completion.complete or work.gone):
                completion.add(await work.answers())
        if not completion.complete:
            return GONE
        return Response(await completion.whole(), media_type="application/json")

    async def suggest(self, request: Request) -> Response:
        """Suggest the next words of a text."""
        given = await read_object(request, self._options)
        text, k = read_suggestion(given, self._options, self._served.name)
        await self._prompts.ids(text, "text")  # it is not longer than may be
        work = Work(self._options.request_seconds)
        work.suggest(self._engine, text, k)
        async with work.watched(request.receive):
            answers = await work.answers()
        for _, found in answers:
            assert isinstance(found, Suggestions)
            return JSONResponse(found.to_json())
        return GONE

    def refuse(self, request: Request, refusal: Exception) -> Response:
        """Answer with what was wrong; while the server stops, that is what most things fail by."""
        assert isinstance(refusal, Refusal)
        return self._explained(refusal).response()

    def _explained(self, refusal: Refusal) -> Refusal:
        if not self.stopping or refusal.status not in (429, 500):
            return refusal
        message = STOPPING if refusal.status == 429 else refusal.message  # it has room for nobody
        return Refusal(503, message, code="stopping")

    async def _order(self, asked: CompletionRequest, number: int, request: object) -> Order:
        name = "prompt" if len(asked.prompts) == 1 else f"prompt[{number}]"
        prompt = asked.prompts[number]
        constraint = await self._constraints.make(asked.wish, prompt)
        if constraint is not None and asked.max_tokens and isinstance(prompt, str):
            prompt = prompt.removesuffix(constraint.begun)
        return Order(
            await self._prompts.ids(prompt, name),
            asked.options,
            asked.max_tokens,
            asked.stops,
            asked.seed,
            asked.count,
            asked.echo,
            asked.logprobs,
            whole=not asked.stream,
            constraint=constraint,
            request=request,
        )

    def _model(self) -> dict[str, Any]:
        own = {"id": self._served.name, "object": "model", "owned_by": "charlm"}
        return own | {"created": self._served.created}


def make_app(
    service: Service,
    *,
    hosts: Iterable[str] = (),
    origins: Sequence[str] = (),
    key: bytes | None = None,
) -> Starlette:
    """Make the application: host and origin are checked first, then the key, then all else."""
    origins = [origin.lower() for origin in origins]  # as browsers send them
    guards = [Middleware(Gate, hosts=tuple(hosts), origins=tuple(origins))]
    if origins:
        cors = Middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=METHODS, allow_headers=("*",)
        )
        guards.append(cors)
    if key is not None:
        guards.append(Middleware(Lock, key=key))
    app = Starlette(
        routes=[
            Route("/", service.page),
            Route("/health", service.health),
            Route("/v1/models", service.models),
            Route("/v1/models/{name:path}", service.model),
            Route("/v1/completions", service.complete, methods=["POST"]),
            Route("/v1/suggest", service.suggest, methods=["POST"]),
        ],
        middleware=guards,
        exception_handlers={
            Refusal: service.refuse,
            HTTPException: no_route,
            ClientDisconnect: lambda request, error: GONE,
            Exception: fault,
        },
    )
    app.router.redirect_slashes = False
    return app


def no_route(request: Request, error: Exception) -> Response:
    """Answer what no route does, with a hint."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code != 404:
        headers = dict(error.headers or {})
        allowed = sorted(method for method in METHODS if method in headers.get("Allow", ""))
        message = f"{path[:60]} answers {' and '.join(allowed)} alone"
        return Refusal(error.status_code, message, code="bad_method", headers=headers).response()
    hint = OTHERS.get(path) or did_you_mean(path[:60], PATHS) or f"there are {', '.join(PATHS)}"
    return Refusal(404, f"there is no {path!r:.60} here: {hint}", code="unknown_path").response()


def fault(request: Request, error: Exception) -> Response:
    """Answer for a fault of ours; what it was stands in the log."""
    return Refusal(500, "the server made a mistake", code="fault").response()
