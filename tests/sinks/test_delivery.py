"""A sink may hang, lag or fail: the run neither waits nor stops, and hears of it once."""

import threading
import time

import pytest

from charlm.sinks.delivery import Delivery, hand_on


class Recorder:
    """A sink that keeps what it is told; `gate` must be open for it to take anything."""

    def __init__(self, fails_at=None):
        self.taken, self.back, self.closed = [], [], False
        self.gate = threading.Event()
        self.gate.set()
        self._fails_at = fails_at

    def write(self, step, values):
        self.gate.wait()
        if step == self._fails_at:
            raise OSError("no space\nleft")
        self.taken.append((step, values))

    def go_back(self, step):
        self.back.append(step)

    def close(self):
        self.closed = True
        if self._fails_at == "close":
            raise SystemExit


class Told(list):
    """What a delivery tells, which it must do in the thread of the run."""

    def __init__(self):
        super().__init__()
        self._here = threading.get_ident()

    def __call__(self, line):
        assert threading.get_ident() == self._here
        self.append(line)


@pytest.fixture
def told():
    return Told()


def lines(count):
    return [{"step": step, "nats": 1.0} for step in range(count)]


def test_all_lines_arrive_in_order(told):
    sink = Recorder()
    delivery = Delivery("sink", lambda: sink, told)
    for line in lines(300):
        delivery.observe(line)
    delivery.close()
    assert [step for step, _ in sink.taken] == list(range(300)) and sink.closed and not told


def test_numbers_have_names_and_null_is_left_out():
    sink = Recorder()
    hand_on({"step": 5, "targets": 9, "nats": None, "learning_rate": 0.5}, sink)
    hand_on({"step": 6, "validation_nats": 2.0, "validation_bits_per_byte": 1.5}, sink)
    hand_on({"step": 6, "seconds": 1.5, "validation": True}, sink)
    hand_on({"step": 7, "skipped": True, "position": [1, 2]}, sink)
    hand_on({"step": 8, "validation_nats": None}, sink)
    hand_on({"step": 9, "rolled_back_to": 4, "learning_rate_factor": 0.5}, sink)
    assert sink.taken == [
        (5, {"train/targets": 9.0, "train/learning_rate": 0.5}),
        (6, {"validation/nats": 2.0, "validation/bits_per_byte": 1.5}),
        (6, {"speed/seconds": 1.5}),
        (7, {"train/skipped": 1.0}),
        (4, {"train/learning_rate_factor": 0.5}),
    ]
    assert sink.back == [4]


@pytest.mark.parametrize("hangs", ["opening", "writing"])
def test_a_sink_that_hangs_holds_up_nobody_and_what_it_missed_is_counted(told, hangs):
    sink = Recorder()
    sink.gate.clear()

    def open_sink():
        if hangs == "opening":
            sink.gate.wait()
        return sink

    began = time.monotonic()
    delivery = Delivery("sink", open_sink, told, room=10, close_seconds=0.05)
    for line in lines(100):
        delivery.observe(line)
    delivery.close()
    assert time.monotonic() - began < 1
    assert [line.startswith("warning: sink has not finished within 0.05 s") for line in told] == [
        True,
        False,
    ]
    missed = 90 if hangs == "opening" else 89  # or 90, if the thread was slow to take the first
    assert f"has missed {missed} of 100" in told[1] or "has missed 90 of 100" in told[1]
    sink.gate.set()


@pytest.mark.parametrize("when", ["opening", 3, "close"])
def test_a_sink_that_fails_is_told_of_once_and_hears_no_more(told, when):
    sink = Recorder(when)

    def open_sink():
        if when == "opening":
            raise OSError("no space\nleft")
        return sink

    delivery = Delivery("sink", open_sink, told)
    for line in lines(6):
        delivery.observe(line)
    if when != "close":
        delivery._thread.join()
        for line in lines(6):
            delivery.observe(line)
    delivery.close()
    why = "SystemExit" if when == "close" else "OSError: no space"
    assert told == [f"warning: sink has failed, and is told no more of this run: {why}"]
    assert len(sink.taken) == {"opening": 0, 3: 3, "close": 6}[when]
