"""run.json: what was asked of a run and what was chosen for it, kept so that it can be resumed.

What a plan measured or chose is written down once; a resumed run measures and chooses nothing anew.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from charlm import storage
from charlm.errors import ModelError, UsageError
from charlm.options import from_json
from charlm.runs.request import BUDGETS, KEPT, OF_NO_ACCOUNT, RunRequest

RECORD = "run.json"
FORMAT = 1
LANGUAGE = "language"  # the kind of a record that names none

Request = TypeVar("Request", bound=RunRequest)


@dataclass(frozen=True)
class RunRecord(Generic[Request]):
    """What a run is, as it was when it began.

    paths:   the corpus, as it was given
    request: the options, as they were given
    chosen:  what the plan chose or measured, under the options' names
    corpus:  what names the prepared corpus: directory and SHA-256 of ids and tokenizer
    settled: what followed from the time or the machine and is no option: `characters`, the bytes
             of text below which the tokenizer was to be of characters, and `scored`, the number of
             held-out tokens in a validation
    """

    paths: list[str]
    request: Request
    chosen: dict[str, Any]
    corpus: dict[str, str]
    settled: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        return {"format": FORMAT, "kind": self.request.KIND} | asdict(self)

    def same_request(self, paths: Sequence[str], request: Request) -> bool:
        """Tell whether the same command was given again."""
        names = [f.name for f in fields(self.request) if f.name not in OF_NO_ACCOUNT]
        same = all(getattr(request, name) == getattr(self.request, name) for name in names)
        return same and list(paths) == self.paths

    def changes(self, request: Request) -> dict[str, tuple[Any, Any]]:
        """Give the options that `request` gives otherwise: name, then before and now.

        An option left at its default is not taken as given.
        """
        return {
            field.name: (getattr(self.request, field.name), getattr(request, field.name))
            for field in fields(self.request)
            if field.name not in OF_NO_ACCOUNT
            and getattr(request, field.name) != field.default
            and getattr(request, field.name) != getattr(self.request, field.name)
        }

    def resumed(self, request: Request) -> Request:
        """Give the request to go on with: what was asked and chosen, and the changes now asked.

        Raises UsageError for a change that would make it another run.
        """
        changes = self.changes(request)
        refused = [name for name in changes if name not in OF_NO_ACCOUNT | self.request.CHANGEABLE]
        if refused:
            told = ", ".join(f"{self._flag(name)} was {_shown(changes[name])}" for name in refused)
            raise UsageError(
                f"a resumed run must stay what it is: {told}",
                "leave these out, or give another --out to start a new run",
            )
        values = self.chosen | {name: now for name, (_, now) in changes.items()}
        if any(name in changes for name in BUDGETS):
            values = dict.fromkeys(BUDGETS) | values
        for name in OF_NO_ACCOUNT:
            values[name] = getattr(request, name)
        values |= self._kept(request)
        return replace(self.request, **values)

    def _kept(self, request: Request) -> dict[str, Any]:
        return {name: getattr(request, name) or getattr(self.request, name) for name in KEPT}

    def _flag(self, name: str) -> str:
        """Give the flag of an option."""
        found = next(field for field in fields(self.request) if field.name == name)
        return str(found.metadata["flag"] or "--" + name).replace("_", "-")

    def changed(self, request: Request, chosen: dict[str, Any]) -> "RunRecord[Request]":
        """Give the record of the run as it goes on: with what `request` changes, and `chosen`."""
        values = {name: now for name, (_, now) in self.changes(request).items()}
        if any(name in values for name in BUDGETS):
            values = dict.fromkeys(BUDGETS) | values
        values |= self._kept(request)
        return replace(self, request=replace(self.request, **values), chosen=chosen)


def read_record(directory: Path, kind: type[Request]) -> RunRecord[Request] | None:
    """Read run.json; None where there is none, ModelError where it is damaged or of another kind.

    kind: what the run was asked with
    """
    path = directory / RECORD
    if not path.exists():
        return None
    value = storage.read_json(path, ModelError)
    try:
        assert value["format"] == FORMAT
        found = value.get("kind", LANGUAGE)
        if found != kind.KIND:
            raise ModelError(f"{directory} is a run of another kind: {found}, not {kind.KIND}")
        request = from_json(kind, value["request"])
        chosen = dict(kind.BEFORE) | value["chosen"]
        paths, settled = [str(word) for word in value["paths"]], value.get("settled", {})
        return RunRecord(paths, request, chosen, value["corpus"], settled)
    except (UsageError, AssertionError, KeyError, TypeError) as fault:
        raise ModelError(
            f"{path} is damaged or of another version of charlm: {fault!r}",
            "--force starts the run anew",
        ) from fault


def write_record(directory: Path, record: RunRecord[Any]) -> None:
    """Write run.json."""
    storage.write_bytes(directory / RECORD, storage.json_bytes(record.to_json()))


def _shown(change: tuple[Any, Any]) -> str:
    before, now = change
    return f"{'not given' if before is None else before}, is now {now}"
