"""A small model for other programs to use."""

import pytest

from charlm.language.fit import fit
from charlm.language.request import TrainRequest

TEXT = "the cat sat on the mat and the dog sat on the log\nit's a cat; it sat\n" * 60


@pytest.fixture(scope="session", params=["char", "bpe"])
def model(request, tmp_path_factory):
    """Train for a moment; give the directory."""
    folder = tmp_path_factory.mktemp("adapters")
    (folder / "book.txt").write_text(TEXT)
    out = str(folder / "run")
    small = {"steps": 60, "hidden": 24, "embed": 12, "batch": 8, "bptt": 16, "lr": 0.02}
    fit(
        [str(folder / "book.txt")],
        TrainRequest(tokenizer=request.param, threads=1, out=out, **small),
    )
    return out
