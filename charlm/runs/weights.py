"""A model's weights: compared with its network by the file's header, and only then read."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from charlm.errors import ModelError
from charlm.tensors import TensorFacts, check_header, read_arrays, shown

DTYPE = "F32"
NAMED = 5  # tensors that an error lists

Shapes = Mapping[str, tuple[int, ...]]


def check_weights(path: Path, shapes: Callable[[], Shapes], num_layers: int) -> None:
    """Compare a file's header with a network of so many layers; raise ModelError.

    Nothing is allocated, and `shapes` is asked only where as many layers can be there.
    """
    facts = check_header(path, ModelError)
    if num_layers > len(facts):  # before a billion layers are named one by one
        raise ModelError(
            f"{path} holds {len(facts):,} tensors, too few for a network of {num_layers:,} layers"
        )
    _compare(path, facts, shapes())


def load_weights(path: Path, shapes: Shapes, allow_nonfinite: bool) -> dict[str, np.ndarray]:
    """Read the weights of a network; raise ModelError where they are not its own.

    NaN and infinity are refused too, unless they are allowed.
    """
    _compare(path, check_header(path, ModelError), shapes)
    weights = read_arrays(path, ModelError)
    for name, array in weights.items():
        if not allow_nonfinite and not np.isfinite(array).all():
            raise ModelError(
                f"{path}: {name} holds NaN or infinity", "the training diverged: train it again"
            )
    return weights


def _compare(path: Path, facts: Mapping[str, TensorFacts], shapes: Shapes) -> None:
    """Raise ModelError unless the tensors are those of the network, by name, type and shape."""
    missing, extra = shapes.keys() - facts.keys(), facts.keys() - shapes.keys()
    if missing or extra:
        said = [f"lacks {_list(missing)}"] if missing else []
        said += [f"holds {_list(extra)}, foreign to the network"] if extra else []
        raise ModelError(
            f"{path} {' and '.join(said)}", "copy the whole model directory, not single files"
        )
    for name, tensor in facts.items():
        if tensor.dtype != DTYPE or tensor.shape != tuple(shapes[name]):
            raise ModelError(
                f"{path}: {name} is {tensor.dtype}{shown(list(tensor.shape))}, "
                f"not {DTYPE}{list(shapes[name])}"
            )


def _list(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - NAMED:,} more" if len(ordered) > NAMED else ""
    return ", ".join(shown(name) for name in ordered[:NAMED]) + more
