"""config.json: read, brought to the present format, and refused where it is not one of ours.

What charlm does not know at its top level is left alone: Hugging Face's tools put keys there, some
of which name code to be run (`auto_map`, `_target_`). Nothing here ever follows them.
"""

from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from charlm.errors import ModelError, UsageError
from charlm.model.rows import INT8
from charlm.model.shape import NetworkConfig
from charlm.options import did_you_mean, from_json
from charlm.runs.files import read_plain_json
from charlm.tensors import shown

FORMAT = 1
SERIES = "charlm-series"  # the model_type of the other wing
LARGEST = 2**31 - 1  # of any number that a network's shape is made of
OBJECTS = ("run", "held_out", "held_out_text")  # entries that may be missing or null

QUANTIZATION = "quantization"  # the entry that says how weights are stored, where not in float32

Config = dict[str, Any]
# By a format's number, what turns a configuration of it into one of the next format. There has
# been one format only; when a second comes, the way from the first to it is entered here.
MIGRATIONS: dict[int, Callable[[Config], Config]] = {}


def read_config(path: Path) -> Config:
    """Read config.json; raise ModelError if it is not one of ours or of an unknown format."""
    config = read_plain_json(path)
    if isinstance(config, dict) and config.get("model_type") == SERIES:
        raise ModelError(
            f"{path.parent} is a model of a series of numbers, not of text",
            "charlm series eval and charlm series forecast take it",
        )
    if not isinstance(config, dict) or config.get("model_type") != "charlm":
        raise ModelError(
            f"{path} is not a charlm model's configuration",
            "pass a directory that charlm train wrote, such as runs/NAME",
        )
    config = migrated(config, path)
    if not isinstance(config.get("network"), dict):
        raise ModelError(f"{path} does not describe a network")
    for name in OBJECTS:
        if not isinstance(config.get(name, {}), dict | None):
            raise ModelError(f"{path}: '{name}' is not an object")
    return config


def migrated(config: Config, path: Path) -> Config:
    """Bring a configuration to the present format, one format at a time; else ModelError."""
    number = config.get("charlm_format")
    if type(number) is not int:
        raise ModelError(f"{path} does not say its format: charlm_format is {shown(number)}")
    if number > FORMAT:
        raise ModelError(
            f"{path} has format {shown(number)}; this charlm reads {FORMAT}",
            "a newer charlm wrote it: update charlm",
        )
    while number < FORMAT:
        if number not in MIGRATIONS:
            raise ModelError(
                f"{path} has format {shown(number)}; this charlm reads {FORMAT}",
                "no released charlm wrote it: train the model again",
            )
        config, number = MIGRATIONS[number](config), number + 1
    return config


def is_int8(config: Config, path: Path) -> bool:
    """Tell whether the matrices are stored in eight bits; ModelError for any other way."""
    stored = config.get(QUANTIZATION)
    if stored not in (None, INT8):
        hint = did_you_mean(stored[:60], [INT8]) if isinstance(stored, str) else None
        raise ModelError(
            f"{path}: '{QUANTIZATION}' is {shown(stored)}, not {INT8}",
            hint or "a newer charlm wrote it, or nobody did",
        )
    return stored == INT8


def network_of(config: Config, path: Path) -> NetworkConfig:
    """Give the shape of the network that a configuration describes; else ModelError."""
    values = config["network"]
    known = {field.name: field for field in fields(NetworkConfig)}
    for name, value in values.items():
        if name not in known:
            hint = did_you_mean(name[:60], known)
            raise ModelError(f"{path}: 'network' has an unknown entry {shown(name)}", hint)
        if type(value) is int and abs(value) > LARGEST:
            raise ModelError(f"{path}: '{name}' cannot be {shown(value)}")
    for name, field in known.items():
        if field.default is MISSING and name not in values:
            raise ModelError(f"{path}: 'network' does not say '{name}'")
    try:
        return from_json(NetworkConfig, values)
    except UsageError as fault:
        raise ModelError(f"{path}: {fault.message[:200]}", fault.hint) from fault
