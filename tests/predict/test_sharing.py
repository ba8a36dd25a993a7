"""Work that threads share: every stream once, and a fault is the caller's."""

import threading

import pytest

from charlm.predict import sharing


@pytest.fixture
def two_threads(monkeypatch):
    monkeypatch.setattr(sharing, "count_threads", lambda: 2)


@pytest.mark.parametrize("streams", [1, 15, 16, 33, 64, 100])
def test_every_stream_is_worked_on_once(two_threads, streams):
    done, lock = [], threading.Lock()

    def work(own):
        with lock:
            done.extend(range(streams)[own])

    sharing.share(streams, work, each=sharing.WORTH)
    assert sorted(done) == list(range(streams))


def test_two_work_where_there_is_much_and_one_where_there_is_little(two_threads):
    met = threading.Barrier(2, timeout=20)
    sharing.share(2 * sharing.PIECE, lambda own: met.wait(), each=sharing.WORTH)
    names = []
    sharing.share(64, lambda own: names.append(threading.current_thread()), each=1)
    assert names == [threading.current_thread()]


def test_a_fault_in_any_thread_is_raised(two_threads):
    def work(own):
        if own.start == 48:
            raise IndexError("no id")

    with pytest.raises(IndexError, match="no id"):
        sharing.share(64, work, each=sharing.WORTH)


def test_threads_are_as_many_as_numpy_is_given(monkeypatch):
    for name, said, expected in (("OPENBLAS", "3", 3), ("OMP", "2", 2)):
        monkeypatch.setenv(f"{name}_NUM_THREADS", said)
        assert sharing.count_threads.__wrapped__() == expected
        monkeypatch.delenv(f"{name}_NUM_THREADS")
