"""What a run's record says of its plan and of its corpus."""

from typing import TYPE_CHECKING, Any

from charlm import storage
from charlm.errors import CorpusError
from charlm.language.request import TrainRequest
from charlm.runs.record import RunRecord
from charlm.text.store import TokenStore

if TYPE_CHECKING:
    from charlm.language.plan import Plan


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


def check_corpus(record: RunRecord[TrainRequest], store: TokenStore) -> None:
    """Raise CorpusError where a run's corpus is no longer the one that it began with."""
    now, before = corpus_identity(store), record.corpus
    if any(now.get(name) != before[name] for name in before if name != "directory"):
        where = ", ".join(record.paths[:3]) or "the text that ships with Python"
        raise CorpusError(
            f"the corpus is not the one that this run began with: {where}",
            "bring the old text back, or start a new run with another --out",
        )
