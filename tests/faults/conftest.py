"""A forge for all fault tests, and the small run that they interrupt."""

import pytest

from charlm.cli.main import main
from tests.faults.forge import Forge

TEXT = "the cat sat on the mat and the dog sat on the log, né?\nso it goes\n\n" * 25


@pytest.fixture(scope="session")
def forge(tmp_path_factory):
    """Start one process that forks trials."""
    folder = tmp_path_factory.mktemp("forge")
    (folder / "book.txt").write_text(TEXT)
    forge = Forge(folder)
    yield forge
    forge.close()


@pytest.fixture
def charlm_here(capsys):
    """Run a command line in this process; give its code and what it said on standard error."""

    def run(*words):
        code = main([str(word) for word in words])
        return code, capsys.readouterr().err

    return run
