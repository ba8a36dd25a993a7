"""Names that a user of Simon Willison's `llm` has given to models."""

from collections.abc import Mapping
from pathlib import Path

from charlm import storage
from charlm.errors import ModelError, UsageError
from charlm.options import did_you_mean

FILE = "charlm.json"


class Names:
    """The models that have names: {name: directory} as JSON, in a folder of the user's."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def all(self) -> dict[str, str]:
        """Give the directories by name; raise ModelError where the file is damaged."""
        if not self._path.exists():
            return {}
        found = storage.read_json(self._path, ModelError)
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise ModelError(f"{self._path} does not list models", "remove it and add them anew")
        return found

    def add(self, name: str, model: str) -> None:
        """Give a model a name, a new one perhaps; raise ModelError where it is no model.

        Raises UsageError for a name that cannot stand on a command line, and DiskError.
        """
        if not name or not name.isprintable() or any(map(str.isspace, name)):
            raise UsageError(f"a name is one word, not {name!r}")
        from charlm.language.handle import load  # names are looked up far more often than given

        directory = load(model).directory.resolve()
        self._write(self.all() | {name: str(directory)})

    def remove(self, name: str) -> None:
        """Forget a name; the model stays where it is. Raises UsageError where there is none."""
        names = self.all()
        if name not in names:
            raise UsageError(f"there is no model named '{name}'", did_you_mean(name, names))
        self._write({other: model for other, model in names.items() if other != name})

    def _write(self, names: Mapping[str, str]) -> None:
        storage.write_bytes(self._path, storage.json_bytes(names))
