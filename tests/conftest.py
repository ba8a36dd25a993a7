"""What several tests share: the corpora for benchmarks where they are, and a small text."""

import gc
import itertools
import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("charlm", deadline=None)  # a busy machine is no failure
settings.load_profile("charlm")
torch.set_num_threads(1)  # what the tests compute is small; one thread is the quickest
gc.freeze()  # collections need not look through what has been imported

SENTENCES = (
    "The cat sat on the mat, and the dog sat on the log.\n"
    "A small model can't learn much; it learns this, though.\n"
    "\n"
    "Onegin, my good friend, was born upon the Neva's banks.\n"
)


@pytest.fixture(scope="session")
def shared_data():
    """Find the folder of benchmark corpora; a fresh clone has none, and skips."""
    folder = Path(os.environ.get("CHARLM_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the benchmark corpora are not here")
    return folder


@pytest.fixture
def text_file(tmp_path):
    """Write a small text, long enough to hold a tenth out."""
    path = tmp_path / "book.txt"
    path.write_text(SENTENCES * 40)
    return path


@pytest.fixture(scope="session")
def new_cache(tmp_path_factory):
    """Give a function that makes an empty directory; pytest's own looks through all before."""
    folder, numbers = tmp_path_factory.mktemp("caches"), itertools.count()

    def make():
        path = folder / str(next(numbers))
        path.mkdir()
        return path

    return make


@pytest.fixture(autouse=True)
def own_cache(new_cache, monkeypatch):
    """Keep the tests' prepared corpora out of the user's cache."""
    monkeypatch.setenv("CHARLM_CACHE", str(new_cache()))


def pytest_collection_finish():
    """Let garbage collections pass over what stays till the end: the modules and the tests.

    Each training asks for several, which would take longer than its steps.
    """
    gc.collect()
    gc.freeze()
