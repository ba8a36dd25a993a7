"""Peak memory: each contestant's own."""

import numpy as np
import pytest

from charlm.benchmark import memory
from charlm.benchmark.shapes import QUICK_WORDS
from charlm.errors import OutOfMemoryError


def test_the_peak_of_a_child_is_its_own_and_not_its_parents():
    ballast = np.ones(50_000_000, dtype=np.int64)  # 400 MB
    found = memory.compare_memory(QUICK_WORDS[0], threads=1, bf16=False)
    parent = memory.peak_bytes()
    assert parent > ballast.nbytes
    assert 50e6 < found.own < parent - 200e6 and 50e6 < found.other < parent - 200e6
    assert found.ratio == found.own / found.other


def test_a_child_that_fails_is_an_error_with_its_last_words(monkeypatch):
    monkeypatch.setattr(memory, "PROGRAM", "raise SystemExit('no more memory')")
    with pytest.raises(OutOfMemoryError, match="no more memory"):
        memory.compare_memory(QUICK_WORDS[0], threads=1, bf16=False)
