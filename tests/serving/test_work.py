"""A request's work: how it ends where the engine and its own clock end it at about one time."""

import asyncio
import time

import pytest

from charlm.serving.orders import Failure, Piece
from charlm.serving.pace import EACH, Pace
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


def rested(answers, seconds):
    """Give the seconds of a pause in which some answers come."""

    async def rest():
        engine, work = Engine(), Work(60.0)
        work.complete(engine, [None])
        engine.receive(Piece(0, "a"))
        await work.answers()
        await asyncio.sleep(0)  # what woke it for the first answer is over
        loop = asyncio.get_running_loop()
        for answer in answers:
            loop.call_later(0.01, engine.receive, answer)
        began = loop.time()
        await work.pause(seconds)
        return loop.time() - began, await work.answers(0.01)

    return asyncio.run(rest())


def test_answers_gather_in_a_pause():
    taken, found = rested([Piece(0, "b"), Piece(0, "c")], 0.1)
    assert taken >= 0.09 and [answer.said.text for answer in found] == ["b", "c"]


@pytest.mark.parametrize("last", [Piece(0, "c", finish="stop"), Failure("no")])
def test_a_pause_ends_with_its_sample(last):
    if isinstance(last, Failure):
        with pytest.raises(Refusal):
            rested([last], 10.0)
    else:
        taken, found = rested([Piece(0, "b"), last], 10.0)
        assert taken < 5 and len(found) == 2


def test_the_more_streams_the_longer_each_waits():
    pace = Pace()
    with pace.followed():
        assert pace.pause == 0
        with pace.followed(), pace.followed():
            assert pace.pause == 2 * EACH
    assert pace.pause == 0
