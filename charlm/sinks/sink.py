"""What a sink does, and what it is told of the run. Its methods may be slow, and may raise."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from charlm import storage
from charlm.errors import ModelError

PROJECT = "charlm"


@dataclass(frozen=True)
class SinkRun:
    """What a sink is told of the run it will hear from.

    directory: of the run
    config:    the run's options, as plain data
    step:      from which it goes on; None where it begins
    """

    directory: Path
    config: Mapping[str, Any]
    step: int | None = None

    @property
    def name(self) -> str:
        """Give the run's name, that of its directory."""
        return self.directory.resolve().name

    def identity(self, sink: str) -> tuple[str, bool]:
        """Give the run's name at a sink that wants one of its own, and whether it was used before.

        It is kept in the run directory: a resumed run goes on under it, one that replaces another
        of the same name does not.
        """
        path = self.directory / f"{sink}.json"
        if self.step is not None and path.exists():
            return str(storage.read_json(path, ModelError)["id"]), True
        new = f"{self.name}-{uuid.uuid4().hex[:8]}"
        storage.write_bytes(path, storage.json_bytes({"id": new}))
        return new, False


class Sink(Protocol):
    """Takes the numbers of a run."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Take values of a step, by names such as train/nats."""

    def go_back(self, step: int) -> None:
        """Forget what was written of later steps, if it can: the run went back to this one."""

    def close(self) -> None:
        """Bring everything to where it belongs."""
