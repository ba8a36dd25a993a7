"""The files of a model directory, before any is read: they are its own, and plain files.

A model may come from anywhere. What its manifest names must lie inside the directory, also behind
symbolic links; a pipe or a device under a file's name would never end.
"""

import json
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from charlm import storage
from charlm.errors import ModelError
from charlm.tensors import shown

CONFIG = "config.json"
MAX_JSON = 4 * 1024 * 1024  # parsed, this becomes some hundred megabytes at the most
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
MAX_NAME = 255


def must_be_finished(directory: Path) -> None:
    """Raise ModelError unless this is a directory that has a manifest."""
    if not os.path.exists(directory):
        raise ModelError(
            f"there is no model at {directory}",
            "pass a directory that charlm train wrote, such as runs/NAME",
        )
    if not directory.is_dir():
        raise ModelError(f"{directory} is a file; a model is a directory that charlm train wrote")
    if not os.path.lexists(directory / storage.MANIFEST):
        why, hint = f"it has no {storage.MANIFEST}", "pass a directory that charlm train wrote"
        if os.path.exists(directory / "metrics.jsonl"):
            hint = f"if its training has not finished: charlm train --resume --out {directory}"
        raise ModelError(f"{directory} is not a finished model: {why}", hint)


def check_files(directory: Path, needed: Iterable[str]) -> None:
    """Check what the manifest names, and that all `needed` files are among it; else ModelError."""
    manifest = directory / storage.MANIFEST
    _must_be_its_own(directory, manifest)
    value = read_plain_json(manifest)
    listed = value.get("files") if isinstance(value, dict) else None
    if not isinstance(listed, dict):
        raise ModelError(f"{manifest} does not list files")
    for name in listed:
        if len(name) > MAX_NAME or not NAME.fullmatch(name):
            raise ModelError(f"{manifest} has a bad entry: {shown(name)}")
        _must_be_its_own(directory, directory / name)
    for name in needed:
        if name not in listed:
            raise ModelError(f"{manifest} does not list {name}", "copy the whole directory")


def read_plain_json(path: Path) -> Any:  # noqa: ANN401
    """Read a small JSON file whose text and numbers can be written again; else ModelError."""
    if path.is_file() and path.stat().st_size > MAX_JSON:
        raise ModelError(f"{path} is too large ({path.stat().st_size:,} bytes)")
    value = storage.read_json(path, ModelError)
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as fault:  # lone surrogates, 1e999
        raise ModelError(f"{path} holds what JSON cannot: {str(fault)[:200]}") from fault
    return value


def plain(value: Any) -> Any:  # noqa: ANN401
    """Give a value with ? for what is no Unicode, in the name of a file: else it is not plain."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _must_be_its_own(directory: Path, path: Path) -> None:
    """Raise ModelError for a link that leads out of the directory, and for what is no file."""
    home, target = Path(os.path.realpath(directory)), Path(os.path.realpath(path))
    if not target.is_relative_to(home) and target.parent != _blobs(home):
        raise ModelError(
            f"{path} is a link that leads out of the directory", "put the file itself there"
        )
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        raise ModelError(f"{path} is not a regular file")


def _blobs(home: Path) -> Path | None:
    """Give where a Hugging Face cache keeps the files that its snapshots link to."""
    in_cache = home.parent.name == "snapshots"
    return home.parent.parent / "blobs" if in_cache else None
