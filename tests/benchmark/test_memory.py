"""Peak memory: each contestant's own."""

import numpy as np
import pytest

from charlm.benchmark import memory
from charlm.benchmark.shapes import QUICK_WORDS
from charlm.errors import LostProcessError, OutOfMemoryError


def test_the_peak_of_a_child_is_its_own_and_not_its_parents():
    ballast = np.ones(50_000_000, dtype=np.int64)  # 400 MB
    found = memory.compare_memory(QUICK_WORDS[0], threads=1, bf16=False)
    parent = memory.peak_bytes()
    assert parent > ballast.nbytes
    assert 50e6 < found.own < parent - 200e6 and 50e6 < found.other < parent - 200e6
    assert found.ratio == found.own / found.other


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("raise SystemExit('no such module')", LostProcessError),
        ("import os; os.kill(os.getpid(), 9)", OutOfMemoryError),
        (
            "from charlm.benchmark import memory as m\n"
            "def fail(task): raise MemoryError\n"
            "m._take_steps = fail\n"
            "m.serve()",
            OutOfMemoryError,
        ),
    ],
)
def test_a_child_that_fails_is_an_error_with_its_last_words(program, error, monkeypatch):
    monkeypatch.setattr(memory, "PROGRAM", program)
    with pytest.raises(error, match=r"no such module|-9|memory ran out"):
        memory.compare_memory(QUICK_WORDS[0], threads=1, bf16=False)
