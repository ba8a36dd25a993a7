"""run.json: what was asked of a run and what was chosen for it, kept so that it can be resumed.

What a plan measured or chose is written down once; a resumed run measures and chooses nothing anew.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlm import storage
from charlm.errors import CorpusError, ModelError, UsageError
from charlm.language.request import DROPOUTS, TrainRequest
from charlm.options import from_json
from charlm.text.store import TokenStore

if TYPE_CHECKING:
    from charlm.language.plan import Plan

RECORD = "run.json"
FORMAT = 1
OF_NO_ACCOUNT = {"out", "force", "resume", "fallback", "save_every", "log_to"}
KEPT = ("save_every", "log_to")  # of these, what was asked before, unless it is asked anew
CHANGEABLE = OF_NO_ACCOUNT | {
    "minutes", "epochs", "steps", "test", "lr", "schedule", "warmup", "weight_decay", "clip_norm",
    "lr_step_from", "lr_step_every", "lr_step_factor", *DROPOUTS, "activation_penalty",
    "temporal_penalty", "accumulate", "validate_every", "patience", "average", "threads", "device",
    "precision",
}  # fmt: skip
BUDGETS = ("minutes", "epochs", "steps")
BEFORE = {"cutoffs": "none"}  # what was so before it was a choice


@dataclass(frozen=True)
class RunRecord:
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
    request: TrainRequest
    chosen: dict[str, Any]
    corpus: dict[str, str]
    settled: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        return {"format": FORMAT} | asdict(self)

    def same_request(self, paths: Sequence[str], request: TrainRequest) -> bool:
        """Tell whether the same command was given again."""
        names = [f.name for f in fields(TrainRequest) if f.name not in OF_NO_ACCOUNT]
        same = all(getattr(request, name) == getattr(self.request, name) for name in names)
        return same and list(paths) == self.paths

    def changes(self, request: TrainRequest) -> dict[str, tuple[Any, Any]]:
        """Give the options that `request` gives otherwise: name, then before and now.

        An option left at its default is not taken as given.
        """
        return {
            field.name: (getattr(self.request, field.name), getattr(request, field.name))
            for field in fields(TrainRequest)
            if field.name not in OF_NO_ACCOUNT
            and getattr(request, field.name) != field.default
            and getattr(request, field.name) != getattr(self.request, field.name)
        }

    def resumed(self, request: TrainRequest) -> TrainRequest:
        """Give the request to go on with: what was asked and chosen, and the changes now asked.

        Raises UsageError for a change that would make it another run.
        """
        changes = self.changes(request)
        refused = [name for name in changes if name not in CHANGEABLE]
        if refused:
            told = ", ".join(f"{_flag(name)} was {_shown(changes[name])}" for name in refused)
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

    def _kept(self, request: TrainRequest) -> dict[str, Any]:
        return {name: getattr(request, name) or getattr(self.request, name) for name in KEPT}

    def changed(self, request: TrainRequest, chosen: dict[str, Any]) -> "RunRecord":
        """Give the record of the run as it goes on: with what `request` changes, and `chosen`."""
        values = {name: now for name, (_, now) in self.changes(request).items()}
        if any(name in values for name in BUDGETS):
            values = dict.fromkeys(BUDGETS) | values
        values |= self._kept(request)
        return replace(self, request=replace(self.request, **values), chosen=chosen)


def read_record(directory: Path) -> RunRecord | None:
    """Read run.json; None where there is none, ModelError where it is damaged."""
    path = directory / RECORD
    if not path.exists():
        return None
    value = storage.read_json(path, ModelError)
    try:
        assert value["format"] == FORMAT
        request = from_json(TrainRequest, value["request"])
        chosen = BEFORE | value["chosen"]
        paths, settled = [str(word) for word in value["paths"]], value.get("settled", {})
        return RunRecord(paths, request, chosen, value["corpus"], settled)
    except (UsageError, AssertionError, KeyError, TypeError) as fault:
        raise ModelError(
            f"{path} is damaged or of another version of charlm: {fault!r}",
            "--force starts the run anew",
        ) from fault


def write_record(directory: Path, record: RunRecord) -> None:
    """Write run.json."""
    storage.write_bytes(directory / RECORD, storage.json_bytes(record.to_json()))


def chosen_by(plan: "Plan", threads: int, bf16: bool) -> dict[str, Any]:
    """Give what a plan chose, under the names of the options that would choose the same."""
    network, optimizer = plan.network, plan.optimizer
    return {
        "layers": network.num_layers,
        "hidden": network.hidden_size,
        "embed": network.embed_size,
        "dropout": plan.dropout,
        "batch": plan.batch_size,
        "bptt": plan.windows.last,
        "bptt_start": plan.windows.first,
        "cutoffs": ",".join(map(str, network.cutoffs)) or "none",
        "lr": optimizer.learning_rate,
        "weight_decay": optimizer.weight_decay,
        "clip_norm": optimizer.clip_norm,
        "threads": threads,
        "precision": "bf16" if bf16 else "fp32",
    }


def corpus_identity(store: TokenStore) -> dict[str, str]:
    """Name a prepared corpus by what is in it."""
    manifest = storage.read_json(store.directory / storage.MANIFEST, CorpusError)
    files = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    kept = {name: digest for name, digest in files.items() if name.endswith(".bin")}
    return kept | {"tokenizer": store.tokenizer.sha256(), "directory": str(store.directory)}


def check_corpus(record: RunRecord, store: TokenStore) -> None:
    """Raise CorpusError where a run's corpus is no longer the one that it began with."""
    now, before = corpus_identity(store), record.corpus
    if any(now.get(name) != before[name] for name in before if name != "directory"):
        where = ", ".join(record.paths[:3]) or "the text that ships with Python"
        raise CorpusError(
            f"the corpus is not the one that this run began with: {where}",
            "bring the old text back, or start a new run with another --out",
        )


def _flag(name: str) -> str:
    return str(TrainRequest.__dataclass_fields__[name].metadata["flag"] or "--" + name).replace(
        "_", "-"
    )


def _shown(change: tuple[Any, Any]) -> str:
    before, now = change
    return f"{'not given' if before is None else before}, is now {now}"
