"""A request's work: how it ends where the engine and its own clock end it at about one time."""

import asyncio
import time

import pytest

from charlm.serving.orders import Failure
from charlm.serving.refusals import Refusal
from charlm.serving.work import Work


class Engine:
    """Takes one order, and keeps whom it answers."""

    def complete(self, order, receive):
        self.receive = receive
        return self

    def cancel(self):
        pass


@pytest.mark.parametrize(("seconds", "status"), [(0.05, 504), (60.0, 500)])
def test_what_the_engine_fails_after_the_deadline_is_late_and_no_fault(seconds, status):
    engine = Engine()

    def fail():
        time.sleep(0.1)  # the loop is busy while the time runs out
        engine.receive(Failure("it took too long"))

    async def wait():
        work = Work(seconds)
        work.complete(engine, [None])
        asyncio.get_running_loop().call_later(0.01, fail)
        await work.answers()

    with pytest.raises(Refusal) as caught:
        asyncio.run(wait())
    assert caught.value.status == status
