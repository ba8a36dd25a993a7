"""Datasets of the Hugging Face Hub, or of a local directory of that form: hf:NAME[:CONFIG[:SPLIT]].

The library `datasets` reads them, as a stream. It is asked only once the Hub has answered, for by
itself it tries for half a minute to reach one that it cannot.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from charlm.errors import CorpusError
from charlm.text.rows import Row, no_column, text_row
from charlm.text.sources import Source

HUB = "hf:"
FORM = "datasets are named hf:NAME[:CONFIG[:SPLIT]], such as hf:imdb or hf:wikitext:wikitext-2-v1"
SPLIT = "train"
BATCH = 64  # rows held at a time
SECONDS = 8  # to wait for the Hub
RETRIES = 3  # of a read that fails on the way
SAVED = ("dataset_dict.json", "dataset_info.json")  # in what `save_to_disk` wrote
STRINGS = ("string", "large_string")


class _Named(NamedTuple):
    """A dataset as a user names it."""

    path: str
    config: str | None
    split: str
    local: bool


def hub_source(words: str) -> Source:
    """Open a dataset; raise CorpusError if it is not there or the Hub cannot be reached."""
    named = _named(words)
    with _one_sentence(words):
        revision = None if named.local else _revision(named.path)
        dataset = _load(named, revision)
        identity: dict[str, Any] = {"dataset": named._asdict(), "revision": revision}
        if named.local:
            identity["files"] = _files(named.path)
        elif revision is None:
            identity["fingerprint"] = dataset._fingerprint

    def rows(column: str) -> Iterator[Row]:
        with _one_sentence(words):
            yield from _rows(dataset, words, column)

    def look() -> object:
        return _files(named.path) if named.local else None

    seen = identity.get("files")
    return Source(words, _no_bytes, identity, rows=rows, look=look, seen=seen)


def _named(words: str) -> _Named:
    """Take hf:NAME:CONFIG:SPLIT apart; a local directory may have a colon in its name."""
    rest = words.removeprefix(HUB)
    path, *others = [rest] if os.path.isdir(os.path.expanduser(rest)) else rest.split(":")
    if not path or len(others) > 2:
        raise CorpusError(f"{words} names no dataset", FORM)
    config, split = [*others, "", ""][:2]
    folder = Path(path).expanduser()
    local = os.path.isdir(folder) or path.startswith(("/", "./", "../", "~"))
    if local and not os.path.isdir(folder):
        raise CorpusError(f"there is no directory {path}", FORM)
    return _Named(str(folder.resolve()) if local else path, config or None, split or SPLIT, local)


def _revision(name: str) -> str | None:
    """Ask the Hub for the newest revision of a dataset; None where going online is forbidden."""
    from huggingface_hub import HfApi, errors

    try:
        return HfApi().dataset_info(name, timeout=SECONDS).sha
    except errors.OfflineModeIsEnabled:
        return None
    except errors.HFValidationError as fault:
        raise CorpusError(f"'{name}' cannot be the name of a dataset", FORM) from fault
    except errors.RepositoryNotFoundError as fault:
        raise CorpusError(
            f"there is no dataset '{name}' on the Hub, or it is not for everyone", FORM
        ) from fault
    except errors.HfHubHTTPError as fault:
        raise CorpusError(
            f"the Hub does not give the dataset '{name}': {_sentence(fault)}",
            "try again later; what is not for everyone needs a valid HF_TOKEN",
        ) from fault
    except Exception as fault:  # whichever the network library of the day raises
        raise CorpusError(
            f"cannot reach the Hub for the dataset '{name}': {_sentence(fault)}",
            "check the network; with HF_HUB_OFFLINE=1 only what is downloaded already is read",
        ) from fault


def _load(named: _Named, revision: str | None) -> Any:  # noqa: ANN401
    import datasets

    datasets.config.STREAMING_READ_MAX_RETRIES = RETRIES
    datasets.config.STREAMING_OPEN_MAX_RETRIES = RETRIES
    datasets.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    if named.local and any((Path(named.path) / name).exists() for name in SAVED):
        saved = datasets.load_from_disk(named.path)
        return saved[named.split] if isinstance(saved, datasets.DatasetDict) else saved
    online = named.local or revision is not None
    return datasets.load_dataset(
        named.path, named.config, split=named.split, revision=revision, streaming=online
    )


def _rows(dataset: Any, where: str, column: str) -> Iterator[Row]:  # noqa: ANN401
    """Read one column of a dataset; the others, pictures perhaps, are not even decoded."""
    features = dataset.features or {}
    names = dataset.column_names or list(next(iter(dataset), {}))
    strings = [n for n in names if getattr(features.get(n), "dtype", None) in STRINGS]
    if names and column not in names:
        raise no_column(where, column, names, strings)
    number = 0
    for batch in dataset.select_columns([column]).iter(batch_size=BATCH) if names else ():
        for value in batch[column]:
            number += 1
            yield text_row(number, value, column)
    if number == 0:
        raise CorpusError(f"there are no rows in {where}")


@contextmanager
def _one_sentence(words: str) -> Iterator[None]:
    """Turn whatever the library raises into one CorpusError."""
    try:
        yield
    except (CorpusError, MemoryError):
        raise
    except Exception as fault:  # it has no family of errors of its own
        if os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0") and isinstance(fault, OSError):
            raise CorpusError(
                f"{words} is not downloaded, and HF_HUB_OFFLINE forbids it", "unset HF_HUB_OFFLINE"
            ) from fault
        raise CorpusError(f"cannot read {words}: {_sentence(fault)}", FORM) from fault


def _sentence(fault: BaseException) -> str:
    words = " ".join(str(fault).split()) or type(fault).__name__
    return words if len(words) <= 300 else words[:299] + "…"


def _files(path: str) -> list[list[object]]:
    """List the files of a local dataset with what shows that they were changed."""
    found = sorted(file for file in Path(path).rglob("*") if file.is_file())
    facts = [(str(file.relative_to(path)), file.stat()) for file in found]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in facts]


def _no_bytes() -> BinaryIO:
    raise CorpusError("a dataset has rows, not bytes")
