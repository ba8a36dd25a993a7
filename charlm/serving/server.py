"""The server itself: a socket, an engine, an application, until a signal ends it."""

import errno
import logging
import socket
from collections.abc import Callable

import uvicorn

from charlm.errors import UsageError
from charlm.language.handle import LanguageModel
from charlm.serving.app import make_app
from charlm.serving.engine import ModelEngine
from charlm.serving.facts import facts_of
from charlm.serving.options import ServeOptions
from charlm.serving.patience import patient_protocol

LAST_SECONDS = 10  # for answers that are being written when the server is told to stop
IDLE_SECONDS = 5
HEAD_BYTES = 16_384


def bind(options: ServeOptions) -> socket.socket:
    """Take the address; raise UsageError where it cannot be had."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    own = socket.socket(family, socket.SOCK_STREAM)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        own.bind((options.host, options.port))
        own.listen(1024)
    except OSError as fault:
        own.close()
        where = f"{options.host} port {options.port}"
        if fault.errno == errno.EADDRINUSE:
            raise UsageError(
                f"{where} is in use by another program", "choose one: --port N, or 0 for any"
            ) from fault
        raise UsageError(f"cannot listen on {where}: {fault.strerror or fault}") from fault
    own.setblocking(False)
    return own


def serve(
    model: LanguageModel, options: ServeOptions, own: socket.socket, tell: Callable[[str], None]
) -> None:
    """Answer requests on a socket until SIGINT or SIGTERM, which is raised anew at the end."""
    limits = options.limits
    engine = ModelEngine(
        model, streams=limits.streams, waiting=limits.queue, seconds=limits.request_seconds
    )
    app = make_app(engine, facts_of(model), options, tell)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # its lines are not for users
    config = uvicorn.Config(
        app,
        http=patient_protocol(limits),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=LAST_SECONDS,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    tell(started(model, options, own))
    try:
        uvicorn.Server(config).run(sockets=[own])
    finally:
        engine.close(0)
        own.close()


def started(model: LanguageModel, options: ServeOptions, own: socket.socket) -> str:
    """Say where the server listens and what is there."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    port, limits = own.getsockname()[1], options.limits
    key = "a key is asked for" if options.key is not None else "no key is asked for"
    return (
        f"{model.directory} ({model.name}) at http://{host}:{port}  (Ctrl-C ends it)\n"
        f"{key}; at most {limits.max_prompt_tokens:,} tokens of a prompt, "
        f"{limits.max_completion_tokens:,} written, {limits.streams} samples at a time, "
        f"{limits.request_seconds:g} s a request"
    )
