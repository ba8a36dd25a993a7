"""The corpus of a run: its texts opened, its tokenizer learned, its ids stored or found stored."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from charlm.errors import UsageError
from charlm.language.plan import default_tokenizer
from charlm.language.request import TrainRequest
from charlm.text.preparation import TokenizerChoice, prepare, prepare_cached
from charlm.text.sources import Corpus, ReadOptions, open_corpus
from charlm.text.store import STORE, TokenStore, open_store

Tell = Callable[[str], None]


def cache_directory() -> Path:
    """Where prepared corpora are kept for the next run: CHARLM_CACHE, or the user's cache."""
    if own := os.environ.get("CHARLM_CACHE"):
        return Path(own)
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "charlm"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "charlm"
