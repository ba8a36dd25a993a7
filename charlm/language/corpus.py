"""The corpus of a run: its texts opened, its tokenizer learned, its ids stored or found stored."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

Tell = Callable[[str], None]


def cache_directory() -> Path:
    """Where prepared corpora are kept for the next run: CHARLM_CACHE, or the user's cache."""
    if own := os.environ.get("CHARLM_CACHE"):
        return Path(own)
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "charlm"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "charlm"
