"""A model's weights: compared with its network by the file's header, and only then read."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from charlm.errors import ModelError
from charlm.model.rows import SCALE, Weight, from_arrays, plain_weights
from charlm.tensors import TensorFacts, check_header, read_arrays, shown

FLOAT32, INT8 = "F32", "I8"
NAMED = 5  # tensors that an error lists

Shapes = Mapping[str, tuple[int, ...]]


def check_weights(
    path: Path, shapes: Callable[[], Shapes], num_layers: int, int8: bool = False
) -> None:
    """Compare a file's header with a network of so many layers; raise ModelError.

    Nothing is allocated, and `shapes` is asked only where as many layers can be there.

    int8: whether the matrices are to be in eight bits (`charlm.model.rows`)
    """
    facts = check_header(path, ModelError)
    if num_layers > len(facts):  # before a billion layers are named one by one
        raise ModelError(
            f"{path} holds {len(facts):,} tensors, too few for a network of {num_layers:,} layers"
        )
    _compare(path, facts, shapes(), int8)


def load_weights(path: Path, shapes: Shapes, allow_nonfinite: bool) -> dict[str, np.ndarray]:
    """Read the weights of a network in float32; raise ModelError where they are not its own.

    NaN and infinity are refused too, unless they are allowed.
    """
    return plain_weights(load_stored(path, shapes, False, allow_nonfinite))


def load_stored(
    path: Path, shapes: Shapes, int8: bool, allow_nonfinite: bool = False
) -> dict[str, Weight]:
    """Read the weights of a network as they are stored; else as `load_weights`."""
    _compare(path, check_header(path, ModelError), shapes, int8)
    weights = read_arrays(path, ModelError)
    for name, array in weights.items():
        if int8 and name.endswith(SCALE) and not (array >= 0).all():  # NaN neither
            raise ModelError(f"{path}: {name} holds what no scale can be", "export the model again")
        if not allow_nonfinite and not np.isfinite(array).all():
            raise ModelError(
                f"{path}: {name} holds NaN or infinity", "the training diverged: train it again"
            )
    return from_arrays(weights) if int8 else dict(weights)


def _compare(path: Path, facts: Mapping[str, TensorFacts], shapes: Shapes, int8: bool) -> None:
    """Raise ModelError unless the tensors are those of the network, by name, type and shape."""
    wanted = {name: (FLOAT32, tuple(shape)) for name, shape in shapes.items()}
    if int8:
        matrices = [name for name, shape in shapes.items() if len(shape) == 2]
        wanted |= {name: (INT8, wanted[name][1]) for name in matrices}
        wanted |= {name + SCALE: (FLOAT32, wanted[name][1][:1]) for name in matrices}
    missing, extra = wanted.keys() - facts.keys(), facts.keys() - wanted.keys()
    if missing or extra:
        said = [f"lacks {_list(missing)}"] if missing else []
        said += [f"holds {_list(extra)}, foreign to the network"] if extra else []
        raise ModelError(
            f"{path} {' and '.join(said)}", "copy the whole model directory, not single files"
        )
    for name, tensor in facts.items():
        kind, shape = wanted[name]
        if (tensor.dtype, tensor.shape) != (kind, shape):
            raise ModelError(
                f"{path}: {name} is {tensor.dtype}{shown(list(tensor.shape))}, "
                f"not {kind}{list(shape)}"
            )


def _list(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - NAMED:,} more" if len(ordered) > NAMED else ""
    return ", ".join(shown(name) for name in ordered[:NAMED]) + more
