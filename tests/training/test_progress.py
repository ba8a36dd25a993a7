"""What a run tells: its observers hear each line of both logs, in the unit of the screen too."""

import json

import pytest

from charlm.storage import LineLog
from charlm.training.budget import Budget
from charlm.training.progress import Measure, Progress


class Observer:
    def __init__(self):
        self.heard, self.closed = [], False

    def observe(self, line):
        self.heard.append(dict(line))

    def close(self):
        self.closed = True


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_observers_hear_what_the_logs_get_and_are_closed_with_them(tmp_path):
    paths, observer = [tmp_path / f"{name}.jsonl" for name in ("metrics", "timings")], Observer()
    with Progress(Budget(steps=100), Measure(), *map(LineLog, paths)) as progress:
        progress.observers = [observer]
        progress.step(50, 10, 20.0, 0.1, 1.0, 0.5)
        progress.validation(50, 3.0, 0.6)
        progress.skipped(51, 10, [3])
        progress.rollback(52, 50, 0.5)
        assert not observer.closed
    assert observer.closed
    metrics, timings = (lines_of(path) for path in paths)
    assert (len(metrics), len(timings)) == (4, 2)
    assert [line for line in observer.heard if line in metrics] == metrics
    assert [line for line in observer.heard if line in timings] == timings
    assert len(observer.heard) == 6


def test_a_run_without_logs_has_observers_too():
    observer = Observer()
    with Progress(Budget(steps=100)) as progress:
        progress.observers = [observer]
        progress.validation(50, 3.0, 0.6)
    assert [line["step"] for line in observer.heard] == [50, 50] and observer.closed


@pytest.mark.parametrize(
    ("measure", "more"),
    [
        (Measure("nats per token"), {}),
        (Measure("bits per byte", 0.5), {"validation_bits_per_byte": 1.5}),
        (Measure("bits per byte", 0.5, held_out=2.0), {"validation_bits_per_byte": 6.0}),
    ],
)
def test_a_validation_is_logged_in_the_unit_that_people_read_too(tmp_path, measure, more):
    path = tmp_path / "metrics.jsonl"
    with Progress(Budget(steps=100), measure, LineLog(path)) as progress:
        progress.validation(50, 3.0, 0.6)
        progress.validation(60, float("nan"), 0.7)
    first, second = lines_of(path)
    assert first == {"step": 50, "targets": 0, "validation_nats": 3.0} | more
    assert second["validation_nats"] is None
    assert all(second[name] is None for name in more)
