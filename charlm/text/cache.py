"""Prepared corpora that are found again: the same text, read in the same way, is prepared once."""

import hashlib
import json
import math
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from charlm import storage
from charlm.errors import CharlmError
from charlm.text.preparation import Tell, TokenizerChoice, identity, prepare
from charlm.text.sources import Corpus, ReadReport
from charlm.text.store import TokenStore, open_store

KEPT = 16  # prepared corpora that stay


def prepare_cached(
    corpus: Corpus,
    choice: TokenizerChoice,
    cache: Path,
    *,
    valid: Corpus | None = None,
    tell: Tell = lambda line: None,
) -> tuple[TokenStore, bool]:
    """Find the prepared corpus in `cache`, or prepare it there; say whether it was found.

    Processes that want the same one at the same time wait for the first of them. Raises what
    `prepare` raises.
    """
    facts = identity(corpus, choice, valid)
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    directory = cache / f"{corpus.name}-{digest[:16]}"
    if store := _find(directory, tell):
        return store, True

    def waiting(owner: str) -> None:
        tell(f"waiting for {owner}, which prepares the same text")

    with storage.locked(directory, math.inf, waiting):
        if store := _find(directory, tell):
            return store, True
        storage.remove_directory(directory)  # damaged, if it is there at all
        store = prepare(corpus, choice, directory, valid=valid, tell=tell)
    _forget_oldest(cache)
    return store, False


def _find(directory: Path, tell: Tell) -> TokenStore | None:
    """Open a prepared corpus; None where there is none, or a damaged one."""
    with suppress(CharlmError, TypeError):
        store = open_store(directory, contents=True)
        with suppress(OSError):  # a cache that can only be read is as good
            os.utime(directory)
        for line in _told(store.info):
            tell(line)
        return store
    return None


def _told(info: dict[str, Any]) -> list[str]:
    return ReadReport(**info.get("read", {})).lines()


def _forget_oldest(cache: Path) -> None:
    """Keep the cache from growing without end, also by what killed processes left in it."""
    ages = []
    storage.remove_old_leftovers(cache)
    for path in cache.iterdir():
        if path.is_dir() and path.name[0] != ".":
            with suppress(OSError):  # another process may forget it at the same time
                ages.append((path.stat().st_mtime, path))
    for _, path in sorted(ages, reverse=True)[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
