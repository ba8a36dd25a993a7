"""The corpus of a run: its texts opened, its tokenizer learned, its ids stored or found stored."""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from charlm import storage
from charlm.errors import UsageError
from charlm.evaluation.report import counts_table
from charlm.language.request import TrainRequest
from charlm.runs.dialogue import Tell
from charlm.text.cache import prepare_cached
from charlm.text.finding import is_prepared, open_corpus, standard_input
from charlm.text.preparation import TokenizerChoice, prepare
from charlm.text.sources import Corpus, ReadOptions
from charlm.text.store import TokenStore, open_store


def open_or_prepare(
    paths: Sequence[str],
    request: TrainRequest,
    tell: Tell,
    settled: Mapping[str, Any] | None = None,
) -> TokenStore:
    """Give the token store of a run: a prepared directory as it is, or text, prepared once.

    A run that goes on, perhaps for longer, keeps the tokenizer that was settled when it began.
    """
    if len(paths) == 1 and is_prepared(paths[0]):
        store = open_store(Path(paths[0]), contents=True)
        if request.valid is not None or not _is_of(store, request):
            raise UsageError(
                f"{paths[0]} is prepared: its tokenizer and held-out text are settled",
                "leave out --tokenizer and --valid, or pass the text itself",
            )
        return store
    with ExitStack() as corpora:
        corpus, valid = open_texts(paths, request, corpora, standard_input())
        choice = tokenizer_choice(request)
        if settled is None:
            choice = choice.for_time(request.seconds, corpus.size)
        else:
            choice = replace(choice, characters=settled.get("characters"))
        store, found = prepare_cached(corpus, choice, cache_directory(), valid=valid, tell=tell)
    tell(f"{'found' if found else 'prepared'} {store_line(store)}")
    return store


def prepare_directory(
    paths: Sequence[str], request: TrainRequest, out: Path, tell: Tell
) -> TokenStore:
    """Prepare text in a directory of the user's choice."""
    with ExitStack() as corpora:
        corpora.enter_context(storage.locked(out))
        taken = os.path.exists(out) and (not out.is_dir() or any(out.iterdir()))
        if not taken:
            storage.recover_replaced(out)
            taken = os.path.exists(out) and any(out.iterdir())
        if taken and not request.force:
            raise UsageError(f"{out} is already there", "pass --force to replace it")
        if taken and not is_prepared(str(out)):
            raise UsageError(f"{out} was not made by charlm prepare; it will not be replaced")
        corpus, valid = open_texts(paths, request, corpora, standard_input())
        choice = tokenizer_choice(request)
        return prepare(corpus, choice, out, valid=valid, replace=True, tell=tell)


def _is_of(store: TokenStore, request: TrainRequest) -> bool:
    """Tell whether a store's tokenizer is one that a request may have meant."""
    if request.tokenizer is None:
        return True
    closed = not store.tokenizer.lossless
    return store.tokenizer.kind == request.tokenizer and closed == (request.unknown == "unk")


def store_line(store: TokenStore) -> str:
    """Describe a prepared corpus in a line."""
    counts = store.train.counts()
    held_out = "nothing held out"
    if store.valid is not None:
        held_out = f"{store.valid.counts().bytes:,} bytes held out"
    return (
        f"{counts.bytes:,} bytes to learn from, {held_out}; {store.tokenizer.kind} tokenizer, "
        f"{store.tokenizer.vocab_size:,} symbols, {counts.tokens:,} tokens"
    )


def store_table(store: TokenStore) -> str:
    """Lay out what a prepared corpus holds."""
    parts = {"train": store.train.counts()}
    if store.valid is not None:
        parts["held out"] = store.valid.counts()
    return counts_table(parts)


def cache_directory() -> Path:
    """Where prepared corpora are kept for the next run: CHARLM_CACHE, or the user's cache."""
    if own := os.environ.get("CHARLM_CACHE"):
        return Path(own)
    if base := os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"):
        return Path(base) / "charlm"
    home = os.environ.get("HOME") or os.environ.get("USERPROFILE")
    cache = Path(home) / ".cache" if home else None
    if cache is None or not _writable(cache):
        return Path(tempfile.gettempdir()) / "charlm-cache"
    return cache / "charlm"


def _writable(folder: Path) -> bool:
    """Tell whether something could be made in a folder, or the folder itself made."""
    there = next(parent for parent in [folder, *folder.parents] if os.path.exists(parent))
    return there.is_dir() and os.access(there, os.W_OK)


def tokenizer_choice(request: TrainRequest) -> TokenizerChoice:
    """Give the tokenizer that a request asks for, or leaves open."""
    return TokenizerChoice(request.tokenizer, request.vocab_size, request.unknown)


def settled_characters(store: TokenStore) -> int | None:
    """Tell what the choice of a store's tokenizer owed to the time of its training."""
    made_for = store.info.get("source", {}).get("tokenizer", {})
    found: int | None = made_for.get("characters")
    return found


def read_options(request: TrainRequest) -> ReadOptions:
    """Give the options with which a request reads its texts."""
    return ReadOptions(
        encoding=request.encoding,
        strict=request.strict,
        documents=request.documents,
        raw=request.tokenizer == "byte",
        text_column=request.text_column,
    )


def open_texts(
    paths: Sequence[str], request: TrainRequest, corpora: ExitStack, stdin: BinaryIO | None
) -> tuple[Corpus, Corpus | None]:
    """Open a corpus and its held-out text, if one is named; `corpora` will close them."""
    options = read_options(request)
    corpus = corpora.enter_context(open_corpus(paths, options, stdin))
    if request.valid is None:
        return corpus, None
    return corpus, corpora.enter_context(open_corpus([request.valid], options))
