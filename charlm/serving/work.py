"""A request's orders while the engine works on them: its thread answers, the event loop waits."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import NamedTuple, TypeAlias

from starlette.types import Receive

from charlm.generation.suggest import Suggestions
from charlm.serving.orders import Busy, Engine, Failure, Order, Piece, Receiver, Ticket
from charlm.serving.refusals import Refusal, wrong

Said: TypeAlias = Piece | Failure | Suggestions


class Answer(NamedTuple):
    """What the engine says to one of a request's orders, which are numbered from 0."""

    order: int
    said: Said


class Work:
    """All that a request has ordered; cancelled, it stops within a step.

    seconds: that it may take
    gone:    the client has left
    """

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds, self._deadline = seconds, self._loop.time() + seconds
        self._arrived = asyncio.Event()
        self._answers: deque[Answer] = deque()
        self._woken = False
        self._tickets: list[Ticket] = []
        self.gone = False

    def complete(self, engine: Engine, orders: Sequence[Order]) -> None:
        """Order completions: all of them, or none where the queue is full (Refusal)."""
        for number, order in enumerate(orders):
            self._take(partial(engine.complete, order), number)

    def suggest(self, engine: Engine, text: str, k: int) -> None:
        """Order suggestions; raise Refusal where the queue is full."""
        self._take(partial(engine.suggest, text, k), 0)

    async def answers(self, seconds: float = math.inf) -> list[Answer]:
        """Wait for what is answered next; [] after so many seconds, or when the client has left.

        Raises Refusal where the time is over, or the model or a field of the request has failed,
        after all that came before.
        """
        if self._loop.time() >= self._deadline:
            raise too_late(self._seconds)
        if not self._answers:
            await self._wait_for_answers(seconds)
        found = list[Answer]()
        while self._answers and not isinstance(self._answers[0].said, Failure):
            found.append(self._answers.popleft())
        if found:
            return found
        if self._loop.time() >= self._deadline and not self.gone:
            raise too_late(self._seconds)  # also where the engine has just failed it for that
        if self._answers and isinstance(failure := self._answers[0].said, Failure):
            if failure.field is not None:
                raise wrong(failure.field, failure.message)
            raise Refusal(500, failure.message, code="model_failed")
        return []

    async def pause(self, seconds: float) -> None:
        """Let answers gather for a while; not after the end of a sample."""
        self._arrived.clear()
        if self.gone or (self._answers and _ends(self._answers[-1].said)):
            return
        timer = self._loop.call_later(seconds, self._arrived.set)
        try:
            await self._arrived.wait()
        finally:
            timer.cancel()

    async def _wait_for_answers(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(min(self._deadline, self._loop.time() + seconds)):
                while not (self._answers or self.gone):
                    self._arrived.clear()
                    self._woken = False
                    if not self._answers:  # nothing came before it could wake
                        await self._arrived.wait()

    @asynccontextmanager
    async def watched(self, receive: Receive) -> AsyncIterator[None]:
        """Stop when the client leaves, and in any case in the end."""

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.gone = True
            self.cancel()
            self._arrived.set()

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
            self.cancel()

    def cancel(self) -> None:
        """Stop everything that is still going on."""
        for ticket in self._tickets:
            ticket.cancel()

    def _take(self, order: Callable[[Receiver], Ticket], number: int) -> None:
        def receive(answer: Said) -> None:
            self._answers.append(Answer(number, answer))
            if not self._woken or _ends(answer):
                self._woken = True
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    self._loop.call_soon_threadsafe(self._arrived.set)

        try:
            self._tickets.append(order(receive))
        except Busy as busy:
            self.cancel()
            raise too_busy(busy.seconds) from None


def _ends(said: Said) -> bool:
    """Tell whether it is the last that is said of a sample."""
    return not isinstance(said, Piece) or said.finish is not None


def too_busy(seconds: float) -> Refusal:
    """Refuse a request now, and say when to come again."""
    wait = max(1, round(seconds))
    message = f"the queue is full: come again in {wait} s"
    return Refusal(429, message, code="queue_full", headers={"Retry-After": str(wait)})


def too_late(seconds: float) -> Refusal:
    """Refuse a request that took too long; to ask again at once would not help."""
    message = f"the request took longer than the {seconds:g} s that it may"
    return Refusal(504, message, code="too_late", headers={"X-Should-Retry": "false"})
