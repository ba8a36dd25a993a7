"""Checkpoints on disk: everything a run is at one step, in safetensors and JSON.

    checkpoints/step-000000120/
        training.json         TrainState, the logs' sizes, what was running
        model.safetensors     the weights
        optimizer.safetensors its moments, by parameter and name
        carried.safetensors   hidden state of each stream, states of the random generators
        best.safetensors      the weights with the best validation, where they are others
        MANIFEST.json         size and SHA-256 of each, written last

The newest two stay, and the newest that was made in the regular course of the run: what an
interruption left behind is never the one a diverged run goes back to.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from charlm import storage
from charlm.errors import CharlmError, ModelError
from charlm.tensors import check_header

STATE = "training.json"
FORMAT = 1
KEPT = 2
PREFIX = "step-"
SUFFIX = ".safetensors"

Tensors = Mapping[str, Tensor]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run is at one step.

    state:   plain data, with "step" and "scheduled" (made in the regular course of the run)
    tensors: by file name (model, optimizer, carried, best), then by tensor name
    """

    state: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, directory: Path, tell: Tell = lambda line: None) -> None:
        self.directory = directory
        self._tell = tell

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, read it back, and only then let older ones go."""
        path = self.directory / f"{PREFIX}{checkpoint.state['step']:09d}"
        with storage.new_directory(path, replace=True) as writer:
            for name, tensors in checkpoint.tensors.items():
                writer.write_bytes(name + SUFFIX, tensor_bytes(tensors))
            writer.write_json(STATE, {"format": FORMAT} | checkpoint.state)
        storage.verify(path, ModelError, contents=True)
        self._let_go(path)

    def newest(self, fall_back: bool = True) -> Checkpoint | None:
        """Read the newest checkpoint that is whole; None where none was ever finished.

        A damaged one is named, and the one before it taken; without `fall_back`, or where all are
        damaged, ModelError is raised.
        """
        paths = self.finished()
        for path in paths:
            try:
                return read_checkpoint(path)
            except ModelError as fault:
                if not fall_back:
                    raise
                self._tell(f"warning: {fault.message}; going on from the checkpoint before it")
        if paths:
            raise ModelError(
                f"no checkpoint in {self.directory} can be read", "--force starts the run anew"
            )
        return None

    def newest_scheduled(self) -> Checkpoint | None:
        """Read the newest whole checkpoint of the regular course; later ones are removed."""
        for path in self.finished():
            if self._is_scheduled(path):
                return read_checkpoint(path)
            storage.remove_directory(path)
        return None

    def finished(self) -> list[Path]:
        """List the checkpoints that have a manifest, the newest, by its step, first."""
        if not self.directory.is_dir():
            return []
        found = [path for path in self.directory.iterdir() if _step(path) is not None]
        found = [path for path in found if (path / storage.MANIFEST).exists()]
        return sorted(found, key=lambda path: _step(path) or 0, reverse=True)

    def newest_step(self) -> int:
        """Give the step of the newest checkpoint; 0 where there is none."""
        return next((_step(path) or 0 for path in self.finished()), 0)

    def clean(self) -> None:
        """Remove what killed processes left behind: half directories under temporary names."""
        if self.directory.is_dir():
            for path in storage.remove_leftovers(self.directory):
                self._tell(f"removed {path}, which a killed process left unfinished")

    def _let_go(self, saved: Path) -> None:
        paths = [path for path in self.finished() if (_step(path) or 0) <= (_step(saved) or 0)]
        scheduled = next((path for path in paths if self._is_scheduled(path)), None)
        for path in paths[KEPT:]:
            if path != scheduled:
                storage.remove_directory(path)

    @staticmethod
    def _is_scheduled(path: Path) -> bool:
        try:
            state = storage.read_json(path / STATE, ModelError)
        except CharlmError:
            return False
        return isinstance(state, dict) and state.get("scheduled") is True


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint, every byte checked against its manifest; ModelError if it is damaged."""
    storage.verify(path, ModelError, contents=True)
    state = storage.read_json(path / STATE, ModelError)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ModelError(f"{path / STATE} is of another version of charlm")
    files = [file for file in path.iterdir() if file.suffix == SUFFIX]
    return Checkpoint(state, {file.stem: _read_tensors(file) for file in files})


def tensor_bytes(tensors: Tensors) -> bytes:
    """Turn tensors into a safetensors file."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data: bytes = safetensors.torch.save(whole, metadata={"format": "pt"})
    return data


def _read_tensors(path: Path) -> dict[str, Tensor]:
    check_header(path, ModelError)
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load(path.read_bytes())
    except (SafetensorError, OSError, ValueError, KeyError) as fault:
        raise ModelError(f"{path} is not a readable safetensors file: {fault}") from fault
    return tensors


def _step(path: Path) -> int | None:
    number = path.name.removeprefix(PREFIX)
    return int(number) if path.name.startswith(PREFIX) and number.isdecimal() else None
