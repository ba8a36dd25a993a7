"""Prepared corpora that are found again: the same text, read in the same way, is prepared once."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from charlm import storage
from charlm.errors import CharlmError, CorpusError
from charlm.text.preparation import Tell, TokenizerChoice, identity, prepare
from charlm.text.sources import Corpus, ReadReport
from charlm.text.store import TRAIN, TokenStore, open_store

KEPT = 16  # entries that stay: prepared corpora, and what was made of them

Entry = TypeVar("Entry")


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

    def make() -> TokenStore:
        return prepare(corpus, choice, directory, valid=valid, tell=tell)

    return find_or_make(directory, lambda: _find(directory, tell), make, tell)


def find_or_make(
    directory: Path,
    find: Callable[[], Entry | None],
    make: Callable[[], Entry],
    tell: Tell = lambda line: None,
) -> tuple[Entry, bool]:
    """Find an entry of the cache, or make it there; say whether it was found."""
    if (entry := find()) is not None:
        return entry, True

    def waiting(owner: str) -> None:
        tell(f"waiting for {owner}, which prepares the same text")

    with storage.locked(directory, math.inf, waiting):
        if (entry := find()) is not None:
            return entry, True
        storage.remove_directory(directory)  # damaged, if it is there at all
        entry = make()
    _forget_oldest(directory.parent)
    return entry, False


def find_by_contents(cache: Path, train_sha256: str, tokenizer_sha256: str) -> TokenStore | None:
    """Find a prepared corpus by the SHA-256 of its training text's ids and of its tokenizer."""
    with suppress(OSError):  # no cache, or none that can be read
        for directory in sorted(cache.iterdir()):
            if not directory.name.startswith(".") and train_hash(directory) == train_sha256:
                store = _find(directory, lambda line: None)
                if store is not None and store.tokenizer.sha256() == tokenizer_sha256:
                    return store
    return None


def train_hash(directory: Path) -> str | None:
    """Give the SHA-256 of a prepared corpus's training text, as ids; None for anything else."""
    with suppress(CharlmError, KeyError, TypeError):
        manifest = storage.read_json(directory / storage.MANIFEST, CorpusError)
        found: str = manifest["files"][TRAIN]["sha256"]
        return found
    return None


def touch(directory: Path) -> None:
    """Note that an entry was used: those unused for longest are forgotten first."""
    with suppress(OSError):  # a cache that can only be read is as good
        os.utime(directory)


def _find(directory: Path, tell: Tell) -> TokenStore | None:
    """Open a prepared corpus; None where there is none, or a damaged one."""
    with suppress(CharlmError, TypeError):
        store = open_store(directory, contents=True)
        touch(directory)
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
