"""Between the engine's thread and the one that talks to clients: answers cross here, in order."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from types import TracebackType

from starlette.types import Receive

from charlm.generation.suggest import Suggestions
from charlm.serving.orders import Busy, Engine, Failure, Order, Piece, Receiver, Ticket
from charlm.serving.refusals import Refusal, busy

Received = Piece | Failure | Suggestions
PING_SECONDS = 10.0  # after which a silent stream says that it is there


class Work:
    """What the engine was asked for one request: leaving the `with` cancels what is not done."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._answers: asyncio.Queue[tuple[int, Received]] = asyncio.Queue()
        self._tickets: list[Ticket] = []

    def __enter__(self) -> "Work":
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let nothing go on that nobody waits for."""
        for ticket in self._tickets:
            ticket.cancel()

    def complete(self, orders: Sequence[Order]) -> None:
        """Hand in orders; raise Refusal where there is no room for them."""
        for number, order in enumerate(orders):
            try:
                self._tickets.append(self._engine.complete(order, self._receiver(number)))
            except Busy as full:
                raise busy(full.seconds) from full

    def suggest(self, text: str, k: int) -> None:
        """Ask for suggestions; raise Refusal where there is no room."""
        try:
            self._tickets.append(self._engine.suggest(text, k, self._receiver(0)))
        except Busy as full:
            raise busy(full.seconds) from full

    async def next(self) -> tuple[int, Piece | Suggestions]:
        """Wait for the next answer: the number of its order, and what it is.

        Raises Refusal where the model failed, or the time is over.
        """
        number, answer = await self._answers.get()
        if isinstance(answer, Failure):
            raise Refusal(500, answer.message, code="model_failed")
        return number, answer

    async def next_or_ping(self) -> tuple[int, Piece | Suggestions] | None:
        """Wait for the next answer, but no longer than a client waits for a sign of life."""
        try:
            return await asyncio.wait_for(self.next(), PING_SECONDS)
        except TimeoutError:
            return None

    def _receiver(self, number: int) -> Receiver:
        def receive(answer: Received) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._answers.put_nowait, (number, answer))

        return receive


async def until_gone(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(stream: AsyncIterator[bytes], receive: Receive) -> AsyncGenerator[bytes]:
    """Give what comes, and end as soon as the client has left."""
    gone = asyncio.create_task(until_gone(receive))
    try:
        while True:
            coming = asyncio.ensure_future(anext(stream, None))
            await asyncio.wait({gone, coming}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() or (piece := await coming) is None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
                return
            yield piece
    finally:
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
