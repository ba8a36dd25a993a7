"""Where a request's options come from: the command line, over a file, over a preset."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from charlm.errors import UsageError
from charlm.language.presets import PRESETS, preset_options
from charlm.language.request import TrainRequest
from charlm.options import checked, did_you_mean, option

NAMES = [field.name for field in fields(TrainRequest)]
WRITTEN_AS_NUMBERS = ("save_every", "cutoffs", "average")  # in a file; text on the command line
BUDGETS = ("minutes", "epochs", "steps", "validate_every")  # the last is a share of the others
# what of a preset or a file goes where the option before it is given over it: they belong together
BELONG = {
    "minutes": BUDGETS,
    "epochs": BUDGETS,
    "steps": BUDGETS,
    "layers": ("last_hidden",),
    "embed": ("last_hidden",),
    "tokenizer": ("unknown", "vocab_size", "cutoffs"),
    "dropout": ("input_dropout", "layer_dropout", "output_dropout"),
    "batches": ("bptt_start", "random_windows"),
    "bptt": ("bptt_start",),
    "optimizer": ("lr", "weight_decay", "clip_norm"),
    "schedule": ("lr_step_from", "lr_step_every", "lr_step_factor"),
}


@dataclass(frozen=True)
class Recipe:
    """What stands for options that are not given themselves."""

    preset: str | None = option(
        None,
        f"a published recipe's options, of {', '.join(PRESETS)}; what is given beside it counts",
        metavar="NAME",
    )
    config: str | None = option(
        None, "a TOML file of these options; what is given beside it counts", metavar="FILE.toml"
    )


def request_from(given: Mapping[str, Any]) -> TrainRequest:
    """Make a request of the options given, over those of `config`, over those of `preset`.

    The file may name the preset. An option of None is not given; names that are no option are left
    alone. Raises UsageError for what cannot be.
    """
    file = {} if given.get("config") is None else read_config(Path(given["config"]))
    named, preset = file.pop("preset", None), given.get("preset")
    name = named if preset is None else preset
    options = {} if name is None else preset_options(name)
    own = {name: given[name] for name in NAMES if given.get(name) is not None}
    for layer in (file, own):
        gone = {part for name in layer for part in BELONG.get(name, ())}
        options = {name: value for name, value in options.items() if name not in gone} | layer
    return TrainRequest(**checked(TrainRequest, options))


def read_config(path: Path) -> dict[str, Any]:
    """Read options from a TOML file, by their names with _ or -; UsageError for what is wrong."""
    try:
        found = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as fault:
        raise UsageError(f"cannot read {path}: {fault.strerror}") from fault
    except UnicodeDecodeError as fault:
        raise UsageError(f"{path} is not UTF-8: invalid byte at offset {fault.start}") from fault
    except (ValueError, RecursionError) as fault:  # also of numbers that are too long
        raise UsageError(f"{path} is not TOML: {fault}") from fault
    values: dict[str, Any] = {}
    for key, value in found.items():
        name = key.replace("-", "_")
        if name in values:
            raise UsageError(f"{path} gives '{name}' twice, with - and with _")
        values[name] = _as_text(name, value)
    known = [*NAMES, "preset"]
    for name in (name for name in values if name not in known):
        raise UsageError(f"{path}: there is no option '{name}'", did_you_mean(name, known))
    preset = checked(Recipe, {k: v for k, v in values.items() if k == "preset"}, f"{path}: ")
    options = {name: value for name, value in values.items() if name != "preset"}
    return preset | checked(TrainRequest, options, f"{path}: ")


def _as_text(name: str, value: Any) -> Any:  # noqa: ANN401
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if number and name in WRITTEN_AS_NUMBERS else value
