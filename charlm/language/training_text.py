"""The text that a model learned from, found again, and its index. A model does not hold it.

It stays prepared in the user's cache for a while, where it is known by the SHA-256 that config.json
has of it; then it is prepared again from where run.json says it was; else the user says where it
is. The index is an entry of the same cache.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm.errors import CharlmError, CorpusError, ModelError, UsageError
from charlm.generation.text_index import TextIndex, open_index, write_index
from charlm.language.corpus import (
    cache_directory,
    open_or_prepare,
    read_options,
    tokenizer_choice,
)
from charlm.language.request import TrainRequest
from charlm.options import from_json
from charlm.runs.dialogue import Tell
from charlm.runs.record import read_record
from charlm.text.cache import find_by_contents, find_or_make, prepare_cached, touch, train_hash
from charlm.text.decoding import decoded
from charlm.text.finding import corpus_from_text, is_prepared, open_corpus, standard_input
from charlm.text.store import TokenStore, open_store

MOST_BYTES = 1 << 28  # of text that are indexed, the last: five times as many on the disk


@dataclass(frozen=True)
class TrainingText:
    """What config.json tells of the text that a model learned from.

    ids:       SHA-256 of its ids, train.bin of the prepared corpus; None in an older model
    tokenizer: SHA-256 of the tokenizer that made them
    bytes:     its size
    corpus:    how it was named to `charlm train`
    """

    ids: str | None
    tokenizer: str
    bytes: int
    corpus: str

    @classmethod
    def of(cls, config: dict[str, Any]) -> "TrainingText":
        """Read it from a model's configuration; raise ModelError where it says nothing of a run."""
        run = config.get("run") or {}
        ids, size, corpus = run.get("train_sha256"), run.get("train_bytes"), run.get("corpus")
        if not isinstance(ids, str | None) or type(size) is not int or not isinstance(corpus, str):
            raise ModelError("config.json does not say what text the model learned from")
        return cls(ids, config["tokenizer_sha256"], size, corpus)


def find_index(directory: Path, config: dict[str, Any], tell: Tell) -> TextIndex:
    """Give the index of the text that the model in a directory learned from, if it is still there.

    Raises UsageError where this machine has it no more.
    """
    text = TrainingText.of(config)
    if text.ids is not None:
        index = _open(_index_directory(text.ids, text.tokenizer))
        if index is None:
            store = _find_store(text.ids, text) or _prepared_again(directory, text, tell)
            index = None if store is None else _indexed(store, text.ids, tell)
        if index is not None:
            return _told(index, tell)
    raise UsageError(
        f"the training text is not at hand: {text.corpus} is not, or no longer, prepared in "
        f"{cache_directory()}",
        "pass it, as it was given to charlm train: --training-text FILE",
    )


def index_of_corpus(paths: Sequence[str], config: dict[str, Any], tell: Tell) -> TextIndex:
    """Give the index of the text that a model learned from, which its user says is at `paths`.

    What the run held out is left out again. Raises CorpusError for another text.
    """
    text = TrainingText.of(config)
    if len(paths) == 1 and is_prepared(paths[0]):
        store = open_store(Path(paths[0]), contents=True)
    else:
        store = _prepared(paths, _request(config), tell)
    ids, size = train_hash(store.directory), store.train.counts().bytes
    assert ids is not None, "a store that could be opened has a manifest"
    if (ids, store.tokenizer.sha256()) != (text.ids, text.tokenizer):
        where = ", ".join(paths[:3])
        if size != text.bytes:
            raise CorpusError(
                f"{where} is not the text that the model learned from: {size:,} bytes to learn "
                f"from, where that had {text.bytes:,}",
                f"pass the corpus as it was given to charlm train: {text.corpus}",
            )
        tell(f"warning: {where} has the size of the training text; no more is known of that")
    return _told(_indexed(store, ids, tell), tell)


def _prepared(paths: Sequence[str], request: TrainRequest, tell: Tell) -> TokenStore:
    """Prepare a text as the run did, or find it prepared."""
    options = read_options(request)
    with open_corpus(paths, options, standard_input()) as corpus:
        choice = tokenizer_choice(request).for_time(request.seconds, corpus.size)
        # a text of its own was held out, and may be gone; with any other this one stays whole too
        valid = None if request.valid is None else corpus_from_text("held out", options)
        return prepare_cached(corpus, choice, cache_directory(), valid=valid, tell=tell)[0]


def _find_store(ids: str, text: TrainingText) -> TokenStore | None:
    """Find the prepared text: in the cache, or where the user had prepared it."""
    store = find_by_contents(cache_directory(), ids, text.tokenizer)
    if store is None and is_prepared(text.corpus) and train_hash(Path(text.corpus)) == ids:
        with suppress(CharlmError):
            store = open_store(Path(text.corpus), contents=True)
    return None if store is None or store.tokenizer.sha256() != text.tokenizer else store


def _prepared_again(directory: Path, text: TrainingText, tell: Tell) -> TokenStore | None:
    """Prepare the text as the run did, from where it was then; None where that has another."""
    with suppress(CharlmError):
        record = read_record(directory, TrainRequest)
        if record is None or "-" in (*record.paths, record.request.valid):
            return None  # standard input was read, and is gone
        store = open_or_prepare(record.paths, record.request, tell, record.settled)
        if (train_hash(store.directory), store.tokenizer.sha256()) == (text.ids, text.tokenizer):
            return store
        tell(f"warning: {text.corpus} has changed since the model learned from it")
    return None


def _indexed(store: TokenStore, ids: str, tell: Tell) -> TextIndex:
    """Find or make the index of a prepared text."""
    directory = _index_directory(ids, store.tokenizer.sha256())

    def make() -> TextIndex:
        tell(f"indexing {store.train.counts().bytes:,} bytes of training text, once")
        write_index(directory, decoded(store.train, store.tokenizer, MOST_BYTES))
        return open_index(directory)

    return find_or_make(directory, lambda: _open(directory), make, tell)[0]


def _open(directory: Path) -> TextIndex | None:
    """Open an index; None where there is none, or a damaged one."""
    with suppress(CharlmError, LookupError, TypeError, ValueError):
        index = open_index(directory)
        touch(directory)
        return index
    return None


def _index_directory(ids: str, tokenizer: str) -> Path:
    digest = hashlib.sha256(f"{ids} {tokenizer} {MOST_BYTES}".encode()).hexdigest()
    return cache_directory() / f"index-{digest[:16]}"


def _told(index: TextIndex, tell: Tell) -> TextIndex:
    if index.skipped:
        tell(
            f"only the last {index.size:,} bytes of the training text are indexed: "
            f"what stands in the {index.skipped:,} before them counts as new"
        )
    return index


def _request(config: dict[str, Any]) -> TrainRequest:
    try:
        return from_json(TrainRequest, (config.get("run") or {}).get("request") or {})
    except (UsageError, AttributeError) as fault:
        raise ModelError(f"config.json does not say how its text was read: {fault}") from fault
