"""What a model needs to adapt as it reads, kept as adaptation.safetensors and tuned.json.

    reserve             (N,) int32   text that nothing was made from, to tune on
    PARAMETER           (R,) float32 root mean square of the gradient in training, for each row

tuned.json is what `charlm adapt` found later. It names the weights it belongs to, and counts for
nothing beside others: so it can be written at once, whatever becomes of the process.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy

from charlm import storage
from charlm.errors import ModelError
from charlm.language.combination import Combination, read_combination
from charlm.predict.adaptation import Adaptation
from charlm.runs.files import read_plain_json
from charlm.storage.manifest import MANIFEST
from charlm.tensors import read_arrays
from charlm.text.store import TokenPart

if TYPE_CHECKING:
    from charlm.predict.adapt import AdaptingPredictor
    from charlm.predict.neural import NeuralPredictor

ADAPTATION, TUNED = "adaptation.safetensors", "tuned.json"
RESERVE = "reserve"
MEASURED = 1_000  # ids: more of them gave no better scales
PLAIN = Adaptation(rate=0.05, rule="sgd")  # also where the gradients' sizes are not known
MOST_RATE, MOST_SEGMENT = 1e3, 100_000


@dataclass(frozen=True)
class Tuned:
    """What `charlm adapt` found: how to adapt, and the shares of all combinations."""

    adaptation: Adaptation
    combination: Combination | None


def training_scales(
    predictor: "NeuralPredictor", learned: TokenPart, seconds: float
) -> dict[str, np.ndarray]:
    """Measure the gradients of the last ids that were learned, in about so many seconds."""
    from charlm.predict.adapt import gradient_scales

    ids = np.asarray(learned.ids[1:][-MEASURED:])
    scales = gradient_scales(predictor, ids, Adaptation().segment, seconds)
    return {name: scale.cpu().numpy() for name, scale in scales.items()}


def write_adaptation(
    writer: storage.DirectoryWriter, scales: Mapping[str, np.ndarray], reserve: np.ndarray
) -> None:
    """Keep what adapting needs with a model."""
    arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in scales.items()}
    arrays[RESERVE] = np.ascontiguousarray(reserve, np.int32)
    writer.write_bytes(ADAPTATION, safetensors.numpy.save(arrays, metadata={"format": "np"}))


def read_adaptation(
    directory: Path, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, np.ndarray], np.ndarray] | None:
    """Give the scales of each parameter's rows and the reserve; None for a model without any.

    Raises ModelError where the file is damaged, or another model's.
    """
    path = directory / ADAPTATION
    if not path.exists():
        return None
    arrays = read_arrays(path, ModelError)
    reserve = arrays.pop(RESERVE, np.zeros(0, np.int32))
    vocab_size = shapes["embedding"][0]
    sound = reserve.ndim == 1 and reserve.dtype == np.int32 and arrays.keys() == shapes.keys()
    sound = sound and not (len(reserve) and not 0 <= reserve.min() <= reserve.max() < vocab_size)
    for name, scale in arrays.items():
        sound = sound and scale.dtype == np.float32 and scale.shape == shapes[name][:1]
        sound = sound and bool(np.isfinite(scale).all()) and bool((scale >= 0).all())
    if not sound:
        raise ModelError(f"{path} is not of this model", "copy the whole model directory")
    return arrays, reserve


def adapting(
    directory: Path, predictor: "NeuralPredictor", adaptation: Adaptation | None
) -> "AdaptingPredictor":
    """Let a model's network adapt, as it was tuned, or by the defaults."""
    import torch

    from charlm.predict.adapt import AdaptingPredictor

    found = read_adaptation(directory, predictor.network.config.parameter_shapes())
    if found is None or (adaptation is not None and adaptation.rule == "sgd"):
        return AdaptingPredictor(predictor, adaptation or PLAIN)
    scales = {name: torch.from_numpy(array) for name, array in found[0].items()}
    return AdaptingPredictor(predictor, adaptation or Adaptation(), scales)


def write_tuned(directory: Path, tuned: Tuned) -> None:
    """Keep what was found with a model, in one stroke; raise DiskError."""
    value = asdict(tuned) | {"weights_sha256": weights_sha256(directory)}
    storage.write_bytes(directory / TUNED, storage.json_bytes(value))


def read_tuned(directory: Path) -> Tuned | None:
    """Give what `charlm adapt` found for these weights; None where it was not asked.

    Raises ModelError where the file is damaged.
    """
    path = directory / TUNED
    if not path.exists():
        return None
    value = read_plain_json(path)
    if not isinstance(value, dict) or not isinstance(value.get("adaptation"), dict):
        raise ModelError(f"{path} does not tell how to adapt", "remove it, or tune anew")
    if value.get("weights_sha256") != weights_sha256(directory):
        return None
    return Tuned(_adaptation(value["adaptation"], path), read_combination(value))


def _adaptation(value: dict[str, Any], path: Path) -> Adaptation:
    try:
        found = Adaptation(**value)
        sound = all(type(each) in (int, float) for each in (found.rate, found.decay))
        sound = sound and 0 <= found.rate <= MOST_RATE and 0 <= found.decay <= 1
        sound = sound and found.rule in ("rms", "sgd")
        sound = sound and type(found.segment) is int and 1 <= found.segment <= MOST_SEGMENT
    except (TypeError, ValueError):
        sound = False
    if not sound:
        raise ModelError(f"{path} does not tell how to adapt", "remove it, or tune anew")
    return found


def weights_sha256(directory: Path) -> str:
    """Name a model's weights, by its manifest."""
    files = read_plain_json(directory / MANIFEST)["files"]
    return str(files["model.safetensors"]["sha256"])
