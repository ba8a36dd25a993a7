"""Peak memory: each contestant's own."""

import os
from pathlib import Path

import numpy as np
import pytest

from charlm.benchmark import memory
from charlm.benchmark.child import ONE_THREAD, ask_child
from charlm.benchmark.players import Player
from charlm.benchmark.shapes import QUICK_WORDS
from charlm.errors import LostProcessError, OutOfMemoryError


def test_the_peak_of_a_child_is_its_own_and_not_its_parents():
    ballast = np.ones(50_000_000, dtype=np.int64)  # 400 MB
    found = memory.compare_memory(QUICK_WORDS[0], threads=1, bf16=False)
    parent = memory.peak_bytes()
    assert parent > ballast.nbytes
    assert 50e6 < found.own < parent - 200e6 and 50e6 < found.other < parent - 200e6
    assert found.ratio == found.own / found.other


def lost(task):
    raise SystemExit("no such module")


def killed(task):
    os.kill(os.getpid(), 9)


def exhausted(task):
    raise MemoryError


@pytest.mark.parametrize(
    ("function", "error"),
    [(lost, LostProcessError), (killed, OutOfMemoryError), (exhausted, OutOfMemoryError)],
)
def test_a_child_that_fails_is_an_error_with_its_last_words(function, error, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with pytest.raises(error, match=r"no such module|-9|memory ran out"):
        ask_child(function, {})


def echo(task):
    return task | {"threads": os.environ.get("OMP_NUM_THREADS")}


def test_a_child_answers_in_the_environment_given(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert ask_child(echo, {"a": [1, None]}) == {"a": [1, None], "threads": "7"}
    assert ask_child(echo, {}, ONE_THREAD)["threads"] == "1"


def counting(task):
    calls = []

    def die():
        raise SystemExit("gone mad")

    return {"first": task["at"]}, {"count": lambda: calls.append(1), "print": print, "die": die}


def test_players_take_turns_and_whoever_dies_is_an_error(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with (
        Player(counting, {"at": 3}, ONE_THREAD) as player,
        Player(counting, {"at": 4}, {}) as other,
    ):
        assert (player.facts, other.facts) == ({"first": 3}, {"first": 4})
        assert list(player.contestants) == ["count", "print", "die"]
        for name in ("count", "print", "count"):  # what one prints is no answer
            assert player.contestants[name]() is True
        with pytest.raises(LostProcessError, match="gone mad"):
            player.contestants["die"]()
        assert other.contestants["count"]() is True
