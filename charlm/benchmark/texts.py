"""The texts to measure with: how they are read, and which file is whose held-out text."""

from dataclasses import replace
from pathlib import Path

from charlm.benchmark.ids import Ids, Kind
from charlm.language.corpus import open_or_prepare
from charlm.language.request import TrainRequest
from charlm.runs.dialogue import Tell
from charlm.text.store import TokenStore

TRAIN, VALID = "train", "valid"
FORMS = {
    "char": TrainRequest(tokenizer="char"),
    "word": TrainRequest(tokenizer="word", unknown="unk"),  # the closed form of published tables
}


def text_request(kind: Kind, path: str) -> TrainRequest:
    """Ask for a text's characters or words, with the held-out text beside it where there is one."""
    return replace(FORMS[kind], valid=held_out_file(path))


def text_store(kind: Kind, path: str, tell: Tell) -> TokenStore:
    """Prepare a text, or find it prepared; raise CorpusError where it cannot be read."""
    return open_or_prepare([path], text_request(kind, path), tell)


def text_ids(kind: Kind, path: str, tell: Tell) -> Ids:
    """Read the ids to learn from of a text."""
    store = text_store(kind, path, tell)
    return Ids(store.train.ids, store.tokenizer.vocab_size)


def held_out_file(path: str) -> str | None:
    """Find the held-out text beside a training text: its name with `valid` for `train`."""
    file = Path(path)
    other = file.with_name(file.name.replace(TRAIN, VALID))
    return str(other) if TRAIN in file.name and other.is_file() else None
