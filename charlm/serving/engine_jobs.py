"""What the engine has taken on: each a ticket for who waits for it."""

import logging
import time

from charlm.generation.batching import WritingBatch
from charlm.generation.suggest import Suggestions
from charlm.generation.writing import Writing
from charlm.serving.engine_languages import BoundedLanguage
from charlm.serving.engine_reading import Echo, Reading
from charlm.serving.orders import Failure, Order, Piece, Receiver

TOO_LATE = "the time that a request may take is over"

logger = logging.getLogger(__name__)


class Job:
    """A piece of work; `over` when nothing more is to be told."""

    def __init__(self, receive: Receiver, deadline: float) -> None:
        self._receive, self._deadline = receive, deadline
        self.began, self.over = time.monotonic(), False

    def cancel(self) -> None:
        """Nobody waits any more."""
        self.over = True

    def tell(self, answer: Piece | Failure | Suggestions) -> None:
        """Hand on an answer, if anybody still waits; one who cannot take it waits no more."""
        if self.over:
            return
        if not isinstance(answer, Piece):
            self.over = True  # and never back to False: it may just have been cancelled
        try:
            self._receive(answer)
        except Exception:
            logger.exception("an answer could not be handed on")
            self.over = True

    def expire(self, now: float) -> None:
        """Fail it where its time is over."""
        if now > self._deadline:
            self.tell(Failure(TOO_LATE))


class SuggestionJob(Job):
    """Suggestions that were asked for."""

    def __init__(self, text: str, k: int, receive: Receiver, deadline: float) -> None:
        super().__init__(receive, deadline)
        self.text, self.k = text, k


class CompletionJob(Job):
    """A completion that was asked for.

    reading:  its prompt, while that is read
    writings: its samples that are not complete
    batch:    they step in, where they must be of a language; else they share that of all others
    """

    def __init__(self, order: Order, receive: Receiver, deadline: float) -> None:
        super().__init__(receive, deadline)
        self.order = order
        self.reading: Reading | None = None
        self.writings: list[Writing] = []
        self.batch: WritingBatch | None = None
        self.language: BoundedLanguage | None = None

    @property
    def constrained(self) -> bool:
        """Tell whether its texts must be of a language."""
        return self.order.constraint is not None

    def tell_prompt(self, echo: Echo, finish: str | None) -> None:
        """Tell a piece of the prompt for every sample; with a `finish` it was all."""
        if echo.text or echo.tokens or finish:
            for sample in range(self.order.count):
                self.tell(Piece(sample, echo.text, echo.tokens, finish=finish))
        if finish is not None:
            self.over = True
