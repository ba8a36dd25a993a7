"""MANIFEST.json: the size and SHA-256 of every file of a finished directory."""

import hashlib
import json
from pathlib import Path
from typing import Any

from charlm.errors import CharlmError

MANIFEST = "MANIFEST.json"
MAX_JSON_BYTES = 64 * 1024 * 1024
CHUNK = 1024 * 1024
ANEW = "copy the whole directory again from where it is whole, or make it anew"


def read_json(path: Path, error: type[CharlmError]) -> Any:  # noqa: ANN401
    """Read one JSON file that charlm wrote; raise `error` if it is missing, huge or damaged."""
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise error(f"{path} is too large to be a file of charlm's ({size:,} bytes)")
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise error(f"{path} is missing") from None
    except OSError as fault:
        raise error(f"cannot read {path}: {fault.strerror}") from fault
    except (ValueError, RecursionError) as fault:
        hint = "it is damaged: copy it again from where it came"
        raise error(f"{path} is not valid JSON: {fault}", hint) from fault


def verify(directory: Path, error: type[CharlmError], contents: bool) -> None:
    """Check a directory against its manifest: every file there, with its size.

    With `contents` the SHA-256 of each file is computed too. Raises `error` with what differs.
    """
    for path, entry in _listed(directory, error):
        try:
            size = path.stat().st_size
        except OSError:
            raise error(f"{path} is missing, which {MANIFEST} lists", ANEW) from None
        if size != entry.get("size"):
            raise error(f"{path} has {size:,} bytes instead of {_shown(entry)}", ANEW)
        if contents and _hash_or_raise(path, error) != entry.get("sha256"):
            raise error(f"{path} is damaged: its SHA-256 differs from the manifest's", ANEW)


def _shown(entry: dict[str, Any]) -> str:
    size = entry.get("size")
    return f"{size:,}" if isinstance(size, int) else repr(size)


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _listed(directory: Path, error: type[CharlmError]) -> list[tuple[Path, dict[str, Any]]]:
    """Give the files that the manifest names, all of them inside the directory."""
    manifest = read_json(directory / MANIFEST, error)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict):
        raise error(f"{directory / MANIFEST} does not list files")
    for name, entry in files.items():
        parts = Path(name).parts
        outside = Path(name).is_absolute() or ".." in parts or not parts
        outside = outside or "\0" in name or not name.isprintable()
        if outside or not isinstance(entry, dict):
            raise error(f"{directory / MANIFEST} has a bad entry: {name!r}")
    return [(directory / name, entry) for name, entry in files.items()]


def _hash_or_raise(path: Path, error: type[CharlmError]) -> str:
    try:
        return file_sha256(path)
    except OSError as fault:
        raise error(f"cannot read {path}: {fault.strerror}") from fault


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
