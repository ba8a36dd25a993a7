"""Prepared corpora: found again, rebuilt where damaged, made once for many, forgotten in time."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from charlm import storage
from charlm.text import cache
from charlm.text.cache import prepare_cached
from charlm.text.finding import open_corpus
from charlm.text.preparation import TokenizerChoice, prepare
from charlm.text.store import open_store


def test_a_prepared_corpus_is_found_again_and_rebuilt_when_the_text_changes(text_file, tmp_path):
    def run(kind="char"):
        with open_corpus([str(text_file)]) as corpus:
            return prepare_cached(corpus, TokenizerChoice(kind), tmp_path / "cache")

    first, found = run()
    assert not found
    again, found = run()
    assert found and again.directory == first.directory
    assert not run("word")[1]
    text_file.write_text(text_file.read_text() + "More.\n")
    changed, found = run()
    assert not found and changed.train.counts().bytes > first.train.counts().bytes


def test_a_damaged_prepared_corpus_is_rebuilt(text_file, tmp_path):
    for _ in range(2):
        with open_corpus([str(text_file)]) as corpus:
            store, found = prepare_cached(corpus, TokenizerChoice("char"), tmp_path / "cache")
        assert not found
        (store.directory / "train.bin").write_bytes(b"short")


@pytest.mark.parametrize("name", ["tokenizer.json", "store.json", "train.bin"])
def test_damage_that_keeps_the_size_is_found_too(text_file, tmp_path, name):
    for _ in range(2):
        with open_corpus([str(text_file)]) as corpus:
            store, found = prepare_cached(corpus, TokenizerChoice("char"), tmp_path / "cache")
        assert not found
        damaged = store.directory / name
        damaged.write_bytes(b"[" + damaged.read_bytes()[1:])


RACE = """
import pathlib, sys, time
from charlm.text.cache import prepare_cached
from charlm.text.finding import open_corpus
from charlm.text.preparation import TokenizerChoice
for step in range(30):
    time.sleep(max(0, float(sys.argv[3]) + 0.03 * step - time.time()))
    choice = TokenizerChoice("char", 300 + step)
    store, _ = prepare_cached(open_corpus(sys.argv[1:2]), choice, pathlib.Path(sys.argv[2]))
    assert store.train.counts().bytes > 1000
"""


def test_several_processes_at_once_do_no_harm(text_file, tmp_path):
    start = str(time.time() + 1)
    command = [sys.executable, "-c", RACE, str(text_file), str(tmp_path / "cache"), start]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    for process in running:
        assert process.communicate()[1] == b"" and process.returncode == 0


def test_who_comes_while_another_prepares_waits_and_takes_what_comes_of_it(text_file, tmp_path):
    told, choice = [], TokenizerChoice("char")
    with open_corpus([str(text_file)]) as corpus, ThreadPoolExecutor() as threads:
        first, _ = prepare_cached(corpus, choice, tmp_path / "cache")
        storage.remove_directory(first.directory)
        with storage.locked(first.directory):
            second = threads.submit(
                prepare_cached, corpus, choice, tmp_path / "cache", tell=told.append
            )
            while not told:
                assert not second.done()
                time.sleep(0.01)
            prepare(corpus, choice, first.directory)
        assert second.result()[1]
    assert f"waiting for process {os.getpid()} on " in told[0]


def test_who_found_none_looks_again_before_anything_is_removed(text_file, tmp_path, monkeypatch):
    with open_corpus([str(text_file)]) as corpus:
        choice = TokenizerChoice("char")
        prepare_cached(corpus, choice, tmp_path / "cache")
        looks = []

        def find_late(directory, tell):
            looks.append(directory)
            return None if len(looks) == 1 else open_store(directory)

        monkeypatch.setattr(cache, "_find", find_late)
        assert prepare_cached(corpus, choice, tmp_path / "cache")[1]
    assert len(looks) == 2


def test_the_cache_does_not_grow_without_end(text_file, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "KEPT", 2)
    for size in (300, 310, 320):
        with open_corpus([str(text_file)]) as corpus:
            choice = TokenizerChoice("char", size)
            store, _ = prepare_cached(corpus, choice, tmp_path / "cache")
        os.utime(store.directory, (size, size))
    assert len(list((tmp_path / "cache").iterdir())) <= 2


def test_what_killed_processes_left_in_the_cache_goes_after_a_day(text_file, tmp_path):
    folder = tmp_path / "cache"
    names = {
        "fresh": ".a-1.00000001.tmp",
        "dead": ".b-2.00000002.tmp",
        "at work": ".c-3.00000003.tmp",
    }
    for name in names.values():
        (folder / name).mkdir(parents=True)
    for kind in ("dead", "at work"):
        os.utime(folder / names[kind], (1, 1))
    with open_corpus([str(text_file)]) as corpus, storage.locked(folder / "c-3"):
        prepare_cached(corpus, TokenizerChoice("char"), folder)
    left = {path.name for path in folder.iterdir() if path.name.endswith(".tmp")}
    assert left == {names["fresh"], names["at work"]}
