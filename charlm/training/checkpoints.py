"""Checkpoints on disk: everything a run is at one step, in safetensors and JSON.

    checkpoints/step-000000120/
        training.json         TrainState, the logs' sizes, what was running
        model.safetensors     the weights
        optimizer.safetensors its moments, by parameter and name
        carried.safetensors   hidden state of each stream, states of the random generators
        best.safetensors      the weights with the best validation, once there was one
        average.safetensors   the mean of the weights, once averaging has begun
        MANIFEST.json         size and SHA-256 of each, written last

The newest two stay, and the newest that was made in the regular course of the run: what an
interruption left behind is never the one a diverged run goes back to.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor

from charlm import storage
from charlm.errors import CharlmError, DiskError, ModelError
from charlm.tensors import check_header
from charlm.training.finished import PREFIX, finished_checkpoints, name_of, step_of

STATE = "training.json"
FORMAT = 1
KEPT = 2
SUFFIX = ".safetensors"
REPLACED = ".replaced"
PARTS = ("model", "optimizer", "carried")  # of every checkpoint,
SOMETIMES = ("best", "average")  # and what some have besides
CONTENTS = {"step": int, "scheduled": bool, "progress": dict, "seconds": int | float}

Tensors = Mapping[str, Tensor]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run is at one step.

    state:   plain data, with "step" and "scheduled" (made in the regular course of the run)
    tensors: by file name (PARTS, and SOMETIMES), then by tensor name
    """

    state: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, directory: Path, tell: Tell = lambda line: None) -> None:
        self.directory = directory
        self._tell = tell

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, read it back, and only then let older ones go.

        One of the same step that was made in the regular course gives way to one that counts so.
        """
        path = self.directory / name_of(checkpoint.state["step"])
        state = dict(checkpoint.state)
        state["scheduled"] = state["scheduled"] or self._is_scheduled(path)
        with storage.new_directory(path, replace=True, check=_read_back) as writer:
            for name, tensors in checkpoint.tensors.items():
                writer.write_bytes(name + SUFFIX, tensor_bytes(tensors))
            writer.write_json(STATE, {"format": FORMAT} | state)
        self._let_go(path)

    def newest(self, fall_back: bool = True) -> Checkpoint | None:
        """Read the newest checkpoint that is whole; None where none was ever finished.

        A damaged one is named and set aside, and the one before it taken; without `fall_back`, or
        where all are damaged, ModelError is raised.
        """
        paths, damaged = self.finished(), []
        for path in paths:
            try:
                checkpoint = read_checkpoint(path)
            except ModelError as fault:
                if not fall_back:
                    raise
                last = path == paths[-1]
                before = "" if last else "; going on from the checkpoint before it"
                self._tell(f"warning: {fault.message}{before}")
                damaged.append(path)
                continue
            for other in damaged:  # only now: without any whole one, all stay as they are
                storage.set_aside(other)
            return checkpoint
        if paths:
            raise ModelError(
                f"no checkpoint in {self.directory} can be read", "--force starts the run anew"
            )
        return None

    def newest_scheduled(self) -> Checkpoint | None:
        """Read the newest whole checkpoint of the regular course; later ones are removed.

        Where there is none, all stay as they are.
        """
        later, damaged = [], []
        for path in self.finished():
            if not self._is_scheduled(path):
                later.append(path)
                continue
            try:
                checkpoint = read_checkpoint(path)
            except ModelError as fault:
                self._tell(f"warning: {fault.message}; going back to the checkpoint before it")
                damaged.append(path)
                continue
            for other in later:
                storage.remove_directory(other)
            for other in damaged:
                storage.set_aside(other)
            return checkpoint
        return None

    def at(self, step: int) -> Checkpoint:
        """Read the checkpoint of a step; raise ModelError where it is damaged."""
        return read_checkpoint(self.directory / name_of(step))

    def finished(self) -> list[Path]:
        """List the checkpoints that have a manifest, the newest first."""
        return finished_checkpoints(self.directory)

    def clean(self) -> None:
        """Mend what killed processes left behind: half directories, and what was being replaced."""
        if self.directory.is_dir():
            for path in self.directory.glob(f".{PREFIX}*{REPLACED}"):
                name = path.name.removeprefix(".").removesuffix(REPLACED)
                storage.recover_replaced(self.directory / name)
            for path in storage.remove_leftovers(self.directory):
                self._tell(f"removed {path}, which a killed process left unfinished")

    def _let_go(self, saved: Path) -> None:
        paths = [path for path in self.finished() if (step_of(path) or 0) <= (step_of(saved) or 0)]
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
    for name, kind in CONTENTS.items():
        if not isinstance(state.get(name), kind):
            raise ModelError(f"{path / STATE} is damaged: it does not say '{name}'")
    files = [path / (name + SUFFIX) for name in (*PARTS, *SOMETIMES)]
    return Checkpoint(
        state, {f.stem: _read_tensors(f) for f in files if f.stem in PARTS or f.exists()}
    )


def _read_back(path: Path) -> None:
    """Raise DiskError where the disk gives back other bytes than were written."""
    storage.verify(path, DiskError, contents=True)


def tensor_bytes(tensors: Tensors) -> bytes:
    """Turn tensors into a safetensors file."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data: bytes = bytes_of(whole, metadata={"format": "pt"})
    return data


def _read_tensors(path: Path) -> dict[str, Tensor]:
    check_header(path, ModelError)
    try:
        tensors: dict[str, Tensor] = tensors_of(path.read_bytes())
    except (SafetensorError, OSError, ValueError, KeyError) as fault:
        raise ModelError(f"{path} is not a readable safetensors file: {fault}") from fault
    return tensors
