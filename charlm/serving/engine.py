"""One model for many clients: orders of any number of them share the model's steps.

A thread of its own does the work (`charlm.serving.engine_rounds`); here it is fed and stopped.
"""

import logging
import threading
import time
from bisect import bisect_right
from collections import deque
from itertools import accumulate

from charlm.errors import UsageError
from charlm.language.handle import LanguageModel
from charlm.serving.engine_jobs import CompletionJob, SuggestionJob
from charlm.serving.engine_rounds import Rounds
from charlm.serving.orders import Busy, Failure, Order, Receiver, Ticket

logger = logging.getLogger(__name__)

STREAMS = 64
WAITING = 32
SECONDS = 60.0
CONSTRAINT_SECONDS = 0.25
STOPPED = "the server was stopped"


class ModelEngine:
    """Works on orders for one model: an `Engine`.

    streams: samples that are written at a time
    waiting: requests that wait for room, and suggestions that wait for their turn, at most
    seconds: that an order may take, waiting included; then it fails
    constraint_seconds: that what its texts must be may take at one token of each
    """

    def __init__(
        self,
        model: LanguageModel,
        *,
        streams: int = STREAMS,
        waiting: int = WAITING,
        seconds: float = SECONDS,
        constraint_seconds: float = CONSTRAINT_SECONDS,
    ) -> None:
        self._streams, self._waiting, self._seconds = streams, waiting, seconds
        self._rounds = Rounds(model, streams, constraint_seconds)
        self._changed = threading.Condition()
        self._queue: deque[CompletionJob] = deque()
        self._closing, self._cut = False, False
        self._thread = threading.Thread(target=self._run, name="charlm engine", daemon=True)
        self._thread.start()

    @property
    def steps(self) -> int:
        """Count the steps that the model took for completions, of all streams at a time."""
        return self._rounds.steps

    def complete(self, order: Order, receive: Receiver) -> Ticket:
        """Take an order; every sample ends with a `finish`.

        Raises Busy where the queue is full, UsageError for more samples than there are streams.
        """
        if not 1 <= order.count <= self._streams:
            raise UsageError(f"n must be 1 to {self._streams}, not {order.count}")
        job = CompletionJob(order, receive, time.monotonic() + self._seconds)
        with self._changed:
            waiting = self._waiting_requests()
            full = len(waiting) >= self._waiting and request_of(job) not in waiting
            if full or self._closing:
                raise Busy(self._rounds.seconds_until(len(waiting)))
            self._queue.append(job)
            self._changed.notify()
        return job

    def suggest(self, text: str, k: int, receive: Receiver) -> Ticket:
        """Suggest next words: one Suggestions, or a Failure; raise Busy as above."""
        job = SuggestionJob(text, k, receive, time.monotonic() + self._seconds)
        with self._changed:
            waiting = [job for job in tuple(self._rounds.suggestions) if not job.over]
            if len(waiting) >= self._waiting or self._closing:
                raise Busy(1.0)
            self._rounds.take(job)
            self._changed.notify()
        return job

    def close(self, seconds: float) -> None:
        """Take nothing more; finish what is going on, or cut it after so many seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)
        with self._changed:
            self._cut = True
            self._changed.notify()
        self._thread.join()

    def _waiting_requests(self) -> set[object]:
        """Give the requests of which an order is in the queue that there is no room for now."""
        found = set[object]()
        for constrained in (False, True):
            waiting = [j for j in self._queue if not j.over and j.constrained == constrained]
            ends = list(accumulate(job.order.count for job in waiting))
            beyond = bisect_right(ends, self._rounds.room(constrained))
            found |= set(map(request_of, waiting[beyond:]))
        return found

    def _run(self) -> None:
        """Do round after round, as long as there is work."""
        rounds = self._rounds
        while not self._cut:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or rounds.busy or self._closing)
                if self._closing and not self._queue and not rounds.busy:
                    break
                self._admit()
            try:
                rounds.round()
            except Exception:
                logger.exception("a round of the engine failed")
                rounds.start_over()
        with self._changed:
            while self._queue:
                self._queue.popleft().tell(Failure(STOPPED))
        rounds.start_over(STOPPED)

    def _admit(self) -> None:
        """Let orders begin that there is room for, in their order; each kind has its own."""
        now = time.monotonic()
        for job in self._queue:
            job.expire(now)
        left, full = deque[CompletionJob](), set[bool]()
        for job in self._queue:
            if job.over:
                continue
            if job.constrained in full or job.order.count > self._rounds.room(job.constrained):
                full.add(job.constrained)
                left.append(job)
            else:
                self._rounds.take(job)
        self._queue = left


def request_of(job: CompletionJob) -> object:
    """Give what a job was ordered by; where that is not said, it is by itself."""
    return job if job.order.request is None else job.order.request
