"""A model written anew with its weights in another form; everything else of it stays.

int8 keeps matrices in rows of eight bits (`charlm.model.rows`): a quarter of the room, and less to
read from memory for each token. float32 is how training writes them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from charlm import storage
from charlm.errors import ModelError, UsageError
from charlm.language.adapting import read_tuned, write_tuned
from charlm.language.configuration import QUANTIZATION, Config, is_int8
from charlm.language.directory import CARD, WEIGHTS, ModelFiles, read_model, stored_weights
from charlm.model.rows import INT8, Weight, as_arrays, plain_weights, quantised_weights
from charlm.options import did_you_mean
from charlm.runs.files import CONFIG, check_files, read_plain_json
from charlm.storage.manifest import MANIFEST

FLOAT32 = "float32"
FORMS = (INT8, FLOAT32)
PIECE = 1 << 20  # bytes copied at a time
NOTE = "\nIts weights are stored in eight bits a number; the scores are from before that.\n"


@dataclass(frozen=True)
class Exported:
    """What was written. bytes: of the weights, before and now."""

    directory: str
    weights: str
    bytes_before: int
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return asdict(self)

    def line(self) -> str:
        """Give it as a line for people."""
        share = self.bytes / self.bytes_before
        return (
            f"{self.directory}: weights in {self.weights}, {self.bytes:,} bytes for "
            f"{self.bytes_before:,} ({share:.0%})"
        )


def export(directory: str | Path, to: str, out: str | Path, *, force: bool = False) -> Exported:
    """Write the model in `directory` to a new directory `out`, its weights as `to` says.

    to:    int8 or float32
    force: replace what stands at `out`

    Raises UsageError for a form that is unknown or the model's own, or a place that is taken,
    ModelError for a damaged model, and DiskError; then nothing is left at `out`.
    """
    directory, out = Path(directory), Path(out)
    if to not in FORMS:
        hint = did_you_mean(to, FORMS) or f"there are {' and '.join(FORMS)}"
        raise UsageError(f"weights cannot be exported to '{to}'", hint)
    _must_be_free(out, directory, force)
    files = read_model(directory)
    if (to == INT8) == is_int8(files.config, directory / CONFIG):
        raise UsageError(f"the weights of {directory} are in {to} already")
    storage.verify(directory, ModelError, contents=True)
    weights = _converted(stored_weights(files), to)
    with storage.locked(out), storage.new_directory(out, replace=force) as writer:
        _write_weights(writer, weights)
        _copy_others(writer, files)
        writer.write_text(CARD, _card(directory, to))
        writer.write_json(CONFIG, _config(files.config, to))
    found = read_tuned(directory)
    if found is not None:
        write_tuned(out, found)
    sizes = [(each / WEIGHTS).stat().st_size for each in (directory, out)]
    return Exported(str(out), to, *sizes)


def _must_be_free(out: Path, directory: Path, force: bool) -> None:
    if out.exists() and out.resolve() == directory.resolve():
        raise UsageError(f"{out} is the model itself", "name another directory")
    if out.exists() and not force:
        raise UsageError(f"{out} is already there", "pass --force to replace it")
    if out.exists() and not (out / MANIFEST).exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is no model, and is not replaced", "name another directory")


def _converted(weights: Mapping[str, Weight], to: str) -> dict[str, Weight]:
    plain = plain_weights(weights)
    return quantised_weights(plain) if to == INT8 else dict(plain)


def _write_weights(writer: storage.DirectoryWriter, weights: Mapping[str, Weight]) -> None:
    arrays = {name: np.ascontiguousarray(array) for name, array in as_arrays(weights).items()}
    writer.write_bytes(WEIGHTS, safetensors.numpy.save(arrays, metadata={"format": "pt"}))


def _copy_others(writer: storage.DirectoryWriter, files: ModelFiles) -> None:
    """Copy what else the model's manifest names: tokenizer, counts, held-out text."""
    directory = files.directory
    check_files(directory, ())
    for name in read_plain_json(directory / MANIFEST)["files"]:
        if name in (WEIGHTS, CONFIG, CARD):
            continue
        with (directory / name).open("rb") as source, writer.open_binary(name) as target:
            while piece := source.read(PIECE):
                target.write(piece)


def _card(directory: Path, to: str) -> str:
    try:
        text = (directory / CARD).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""  # somebody's own, or none
    text = text.replace(NOTE, "")
    return text + NOTE if to == INT8 else text


def _config(config: Config, to: str) -> Config:
    rest = {name: value for name, value in config.items() if name != QUANTIZATION}
    return rest | ({QUANTIZATION: INT8} if to == INT8 else {})
