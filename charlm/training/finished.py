"""Which checkpoints of a run are whole: told from their names and manifests, without PyTorch."""

from pathlib import Path

from charlm import storage

PREFIX = "step-"


def name_of(step: int) -> str:
    """Give the name of a step's checkpoint: names sort as steps do."""
    return f"{PREFIX}{step:09d}"


def step_of(path: Path) -> int | None:
    """Give the step that a directory's name says; None where it is no checkpoint's name."""
    number = path.name.removeprefix(PREFIX)
    return int(number) if path.name.startswith(PREFIX) and number.isdecimal() else None


def finished_checkpoints(directory: Path) -> list[Path]:
    """List the checkpoints that have a manifest, the newest, by its step, first."""
    if not directory.is_dir():
        return []
    found = [path for path in directory.iterdir() if step_of(path) is not None]
    found = [path for path in found if (path / storage.MANIFEST).exists()]
    return sorted(found, key=lambda path: step_of(path) or 0, reverse=True)


def newest_step(directory: Path) -> int:
    """Give the step of the newest checkpoint; 0 where there is none."""
    return next((step_of(path) or 0 for path in finished_checkpoints(directory)), 0)
