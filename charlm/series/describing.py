"""What `charlm info` shows of a series model."""

from pathlib import Path
from typing import Any

from charlm import storage
from charlm.errors import ModelError
from charlm.series.directory import read_series_model


def describe(directory: Path, verify: bool = False) -> dict[str, Any]:
    """Gather what is told of a model; with `verify` every file's SHA-256 is checked."""
    files = read_series_model(directory)
    if verify:
        storage.verify(directory, ModelError, contents=True)
    config, network = files.config, files.network
    run, scores = config["run"], config.get("scores") or {}
    facts = {
        "model": str(directory),
        "columns": ", ".join(files.table.names),
        "rows": len(files.table),
        "cell": network.cell,
        "layers": network.num_layers,
        "hidden_size": network.hidden_size,
        "head": network.head,
        "parameters": config["parameters"],
        "scaling": files.scaling.kind,
        "season": config["season"],
        "lag": network.features.lag,
        "corpus": run["corpus"],
        "trained_values": run["targets"],
        "seconds": run["seconds"],
        "mase": scores.get("mase"),
        "closed_loop_mase": scores.get("closed_loop_mase"),
        "coverage": scores.get("coverage"),
        "charlm": config["charlm_version"],
    }
    return facts | ({"verified": True} if verify else {})
