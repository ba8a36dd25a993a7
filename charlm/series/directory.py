"""The directory of a series model: config.json, model.safetensors, series.safetensors, README.md.

The series itself is kept, so that the model goes on from its end. MANIFEST.json is written last.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from charlm import storage
from charlm.errors import ModelError, UsageError
from charlm.options import from_json
from charlm.runs.files import CONFIG, check_files, must_be_finished, read_plain_json
from charlm.runs.weights import load_weights
from charlm.series.clock import Clock, Step
from charlm.series.features import Features
from charlm.series.network import SeriesConfig, SeriesNetwork
from charlm.series.scaling import KINDS, Scaling
from charlm.series.table import Table
from charlm.tensors import read_arrays

WEIGHTS = "model.safetensors"
SERIES = "series.safetensors"
CARD = "README.md"
MODEL_TYPE = "charlm-series"
FORMAT = 1
PLACES = ("train", "valid", "total")

Config = dict[str, Any]


@dataclass(frozen=True)
class SeriesFiles:
    """What a series model's directory holds, read and checked."""

    directory: Path
    config: Config
    network: SeriesConfig
    scaling: Scaling
    table: Table
    weights: dict[str, np.ndarray]


def table_bytes(table: Table) -> bytes:
    """Write a series as safetensors: values (L, C) float64, times (L,) int64."""
    arrays = {"values": np.ascontiguousarray(table.values)}
    if table.clock is not None:
        arrays["times"] = np.ascontiguousarray(table.clock.times)
    data: bytes = safetensors.numpy.save(arrays, metadata={"format": "np"})
    return data


def digest(table: Table) -> str:
    """Give the SHA-256 of a series: of its values, times and names."""
    return hashlib.sha256(table_bytes(table) + repr(table.names).encode()).hexdigest()


def table_json(table: Table) -> Config:
    """Describe a series for run.json and config.json."""
    clock = table.clock
    step = None if clock is None or clock.step is None else vars(clock.step)
    return {
        "columns": list(table.names),
        "clock": None if clock is None else {"name": clock.name, "step": step},
    }


def read_table(path: Path, description: Any) -> Table:  # noqa: ANN401
    """Read a series that `table_bytes` wrote; raise ModelError where it is damaged."""
    arrays = read_arrays(path, ModelError)
    values, times = arrays.get("values"), arrays.get("times")
    try:
        names = tuple(str(name) for name in description["columns"])
        clock, told = None, description["clock"]
        if values is None or values.dtype != np.float64 or values.ndim != 2:
            raise ValueError("values")
        if values.shape[1] != len(names) or not len(values):
            raise ValueError("columns")
        if told is not None:
            if times is None or times.dtype != np.int64 or times.shape != values.shape[:1]:
                raise ValueError("times")
            step = None if told["step"] is None else from_json(Step, told["step"])
            clock = Clock(str(told["name"]), times, step)
    except (KeyError, TypeError, ValueError, UsageError) as fault:
        raise ModelError(f"{path} is not the series that is described: {fault}") from fault
    return Table(names, values, clock)


def write_series_model(
    writer: storage.DirectoryWriter,
    config: Config,
    network: SeriesNetwork,
    table: Table,
    card: str,
) -> None:
    """Write everything of a model but the manifest, which the writer's owner writes last."""
    weights = {
        name: np.ascontiguousarray(parameter.detach().float().cpu().numpy())
        for name, parameter in network.named_parameters()
    }
    writer.write_bytes(WEIGHTS, safetensors.numpy.save(weights, metadata={"format": "pt"}))
    writer.write_bytes(SERIES, table_bytes(table))
    writer.write_text(CARD, card)
    identity = {"model_type": MODEL_TYPE, "charlm_format": FORMAT}
    writer.write_json(CONFIG, identity | config)


def read_series_model(directory: Path) -> SeriesFiles:
    """Read a series model; raise ModelError with what is wrong."""
    must_be_finished(directory)
    check_files(directory, (CONFIG,))
    path = directory / CONFIG
    config = read_plain_json(path)
    if not isinstance(config, dict) or config.get("model_type") != MODEL_TYPE:
        raise ModelError(f"{directory} is not a model of a series", "charlm series train makes one")
    check_files(directory, (CONFIG, WEIGHTS, SERIES))
    storage.verify(directory, ModelError, contents=False)
    if config.get("charlm_format") != FORMAT:
        raise ModelError(f"{path} has a format that this charlm does not read: update charlm")
    try:
        table = read_table(directory / SERIES, config["series"])
        features = from_json(Features, config["network"]["features"])
        network = from_json(SeriesConfig, config["network"] | {"features": features})
        scaling = from_json(Scaling, config["scaling"])
        _check(config, features, scaling, table)
    except (KeyError, TypeError, ValueError, UsageError) as fault:
        raise ModelError(f"{path} is damaged: {fault}") from fault
    shapes = _shapes(network)
    weights = load_weights(directory / WEIGHTS, shapes, allow_nonfinite=False)
    return SeriesFiles(directory, config, network, scaling, table, weights)


def _check(config: Config, features: Features, scaling: Scaling, table: Table) -> None:
    """Raise ValueError where parts of a configuration do not belong together."""
    count = len(table.names)
    if features.columns != count or features.lag < 0 or scaling.kind not in KINDS:
        raise ValueError("features, scaling and columns do not fit")
    if len(scaling.shift) != count or len(scaling.scale) != count or min(scaling.scale) <= 0:
        raise ValueError("scaling has another number of columns")
    train, valid, total = (config["parts"][name] for name in PLACES)
    if not 0 < train <= valid <= total == len(table):
        raise ValueError("parts are not those of the series")
    if not all(
        isinstance(config[name], int) and config[name] >= 1 for name in ("season", "horizon")
    ):
        raise ValueError("season and horizon are whole numbers")


def _shapes(config: SeriesConfig) -> dict[str, tuple[int, ...]]:
    import torch

    with torch.device("meta"):
        network = SeriesNetwork(config)
    return {name: tuple(p.shape) for name, p in network.named_parameters()}
