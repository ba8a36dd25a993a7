"""Workers: the same results in the same order, whatever becomes of the processes that help."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest

from charlm.text import merges, workers
from charlm.text.counting import count_pretokens, count_whole_words
from charlm.text.documents import Piece
from charlm.text.encoding import encode_pieces
from charlm.text.learning import learn_tokenizer
from charlm.text.merges import learn_merges
from charlm.text.pretokens import find_pretokens
from charlm.text.tasks import ChunkCounting, Encoding, WordCounting
from charlm.text.workers import Workers

TEXT = "The cat's  «кот» sat,\n\tdidn't it? 日本語 🎉\n" * 30
TEXTS = [f"{TEXT} {i} {'x' * i}" for i in range(60)]
KINDS = [("word", "spell"), ("word", "unk"), ("bpe", "spell")]
PROCESSES = pytest.mark.skipif(sys.platform == "win32", reason="asks for POSIX processes")


@pytest.fixture
def eager(monkeypatch):
    """Call for help with everything."""
    monkeypatch.setattr(workers, "LARGE", 0)
    monkeypatch.setattr(workers, "SMALL", 1)
    monkeypatch.setattr(workers, "_processors", lambda: 2)


@pytest.mark.parametrize("kind, unknown", KINDS)
def test_helped_and_alone_give_the_same_ids(eager, kind, unknown):
    tokenizer = learn_tokenizer(kind, lambda: ["".join(TEXTS)], unknown=unknown)
    pieces = [("train", Piece(text, i % 7 == 0)) for i, text in enumerate(TEXTS)]
    ids, encoder = [], None
    for part, _, own, certain in encode_pieces(pieces, tokenizer):
        if own is not encoder and encoder is not None:
            ids.append(encoder.flush())
        ids.append(certain)
        encoder = own
        assert part == "train"
    ids.append(encoder.flush())
    documents = ["".join(TEXTS[i : i + 7]) for i in range(0, len(TEXTS), 7)]
    expected = np.concatenate([tokenizer.encode(text) for text in documents])
    assert np.concatenate(ids).tolist() == expected.tolist()


def test_helped_and_alone_count_the_same(eager):
    assert count_pretokens(TEXTS) == Counter(find_pretokens("".join(TEXTS)))
    counts = count_whole_words(TEXTS)
    assert counts.pop("\n") == "".join(TEXTS).count("\n")
    assert counts == Counter("".join(TEXTS).split())


@pytest.mark.parametrize("task", [ChunkCounting(), WordCounting()])
@pytest.mark.parametrize("text", ["", TEXT, "a", " a", "\x00 \x00"])
def test_counts_travel(task, text):
    counted = task.run(text)
    assert task.unpack(task.pack(counted)) == counted


@PROCESSES
def test_the_work_of_a_worker_that_dies_is_done_here(eager):
    tokenizer = learn_tokenizer("word", lambda: TEXTS)
    with Workers(Encoding(tokenizer)) as group:
        results = []
        for i, ids in group.work(enumerate(TEXTS)):
            results.append(ids.tolist())
            if i == 20:
                for worker in group._workers:
                    worker._process.kill()
    assert results == [tokenizer.encode_part(text).tolist() for text in TEXTS]


def test_without_room_for_processes_all_is_done_here(eager, monkeypatch):
    def refuse(*arguments, **options):
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with Workers(WordCounting()) as group:
        assert [i for i, _ in group.work(enumerate(TEXTS))] == list(range(len(TEXTS)))


@PROCESSES
def test_merges_are_the_same_here_and_elsewhere(monkeypatch):
    here = learn_merges(list(TEXTS), 400)
    monkeypatch.setattr(merges, "LARGE", 0)
    assert learn_merges(list(TEXTS), 400) == here and len(here) > 50

    def refuse(*arguments, **options):
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert learn_merges(list(TEXTS), 400) == here


@PROCESSES
def test_no_process_is_left(eager):
    with Workers(WordCounting()) as group, pytest.raises(ZeroDivisionError):
        for i, _ in group.work(enumerate(TEXTS)):
            i // (i - 5)
    assert all(worker._process.poll() is not None for worker in group._workers)
    assert len(group._workers) == 2


ENDLESS = """
import itertools
from charlm.text import merges, workers
from charlm.text.tasks import WordCounting
workers.LARGE, workers.SMALL, workers._processors = 0, 1, lambda: 2
with workers.Workers(WordCounting()) as group:
    for i, _ in group.work((i, "a b") for i in itertools.count()):
        if i == 5:
            print(*(worker._process.pid for worker in group._workers), flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_workers_survive_the_signals_of_the_terminal_but_not_their_parent():
    command = [sys.executable, "-c", ENDLESS]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        numbers = [int(number) for number in process.stdout.readline().split()]
        assert len(numbers) == 2
        for number in numbers:
            assert os.getsid(number) != process.pid
            os.kill(number, signal.SIGTERM)
            os.kill(number, signal.SIGINT)
        time.sleep(0.2)
        assert all(_lives(number) for number in numbers)
        process.kill()
    patience = time.monotonic() + 5
    while any(_lives(number) for number in numbers):
        assert time.monotonic() < patience, "a worker outlived its parent"
        time.sleep(0.05)


def _lives(number: int) -> bool:
    try:
        with open(f"/proc/{number}/stat") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
