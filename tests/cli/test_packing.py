"""Progress is a line on a terminal, taken off in the end, and nothing anywhere else."""

import io
import sys

import pytest

from charlm.cli.packing import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream, shown", [(Terminal(), True), (io.StringIO(), False)])
def test_progress_is_for_terminals(stream, shown, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    with progress(1000) as passed:
        passed(1000)
    assert ("1.00k" in stream.getvalue()) == shown
    assert bool(stream.getvalue()) == shown
