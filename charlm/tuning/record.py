"""study.json: what all trials of a study share; scores compare only where this is equal."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from charlm import storage
from charlm.errors import ModelError, UsageError
from charlm.tuning.objective import TEXT

RECORD = "study.json"
FORMAT = 1


@dataclass(frozen=True)
class StudyRecord:
    """What a study is.

    identity: the text or the series, and the fixed options
    unit:     of the scores
    settled:  what was measured or chosen once, for all trials
    seed:     of the search, as it was first given
    """

    identity: dict[str, Any]
    unit: str
    settled: dict[str, Any]
    seed: int

    def refuse_other(self, identity: dict[str, Any], directory: Path) -> None:
        """Raise UsageError unless the study is of this text and these fixed options."""
        hint = "give another directory with --study"
        kinds = self.identity.get("kind", TEXT.corpus), identity.get("kind", TEXT.corpus)
        if kinds[0] != kinds[1]:
            raise UsageError(
                f"{directory} is another kind of study: of a {kinds[0]}, not of a {kinds[1]}", hint
            )
        if self.identity.get("corpus") != identity.get("corpus"):
            raise UsageError(
                f"{directory} is a study of another {kinds[0]}: scores would not compare", hint
            )
        before, now = self.identity.get("options", {}), identity.get("options", {})
        for name in sorted({*before, *now}):
            if before.get(name) != now.get(name):
                shown = [_shown(each.get(name)) for each in (before, now)]
                raise UsageError(
                    f"{directory} is a study with {_flag(name)} {shown[0]}, not {shown[1]}: scores "
                    "would not compare",
                    hint,
                )
        if self.identity != identity:
            raise UsageError(f"{directory} is another kind of study", hint)


def read_study(directory: Path) -> StudyRecord | None:
    """Read study.json; None where there is none, ModelError where it is damaged."""
    path = directory / RECORD
    if not path.exists():
        return None
    value = storage.read_json(path, ModelError)
    try:
        assert value["format"] == FORMAT
        parts = {name: value[name] for name in StudyRecord.__dataclass_fields__}
        record = StudyRecord(**parts)
        assert isinstance(record.identity, dict) and isinstance(record.settled, dict)
        assert isinstance(record.unit, str) and type(record.seed) is int
    except (AssertionError, KeyError, TypeError) as fault:
        raise ModelError(
            f"{path} is damaged or of another version of charlm",
            "give another directory with --study",
        ) from fault
    return record


def write_study(directory: Path, record: StudyRecord) -> None:
    """Write study.json."""
    value = {"format": FORMAT} | asdict(record)
    storage.write_bytes(directory / RECORD, storage.json_bytes(value))


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _shown(value: Any) -> str:  # noqa: ANN401
    return "left open" if value is None else str(value)
