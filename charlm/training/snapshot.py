"""What must be kept of a run so that it goes on to the last bit as if it had never stopped.

Weights, moments, hidden states and the generators' states as tensors; everything else as plain
data. With several processes the first one keeps the rows of all, and each takes its own again, so
that a run can go on with another number of processes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor, nn

from charlm.errors import DiskError, ModelError
from charlm.training.checkpoints import Checkpoint, Checkpoints
from charlm.training.optimizers import state_shapes
from charlm.training.processes import Processes, rows_of
from charlm.training.task import Task, TrainState


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Give every parameter once, by name."""
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


@torch.no_grad()
def set_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into a module; raise ModelError where they are not the module's."""
    own = dict(module.named_parameters())
    same = own.keys() == weights.keys()
    if not same or any(own[name].shape != tensor.shape for name, tensor in weights.items()):
        raise ModelError("the checkpoint is of another network than this run's")
    for name, tensor in weights.items():
        own[name].copy_(tensor)


def are_finite(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether there is neither NaN nor infinity in them."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Give the optimizer's state as tensors, named "parameter.what"."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def set_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimizer the state that `optimizer_tensors` gave."""
    pairs = [(group, each) for group in optimizer.param_groups for each in group["params"]]
    expected = [state_shapes(group, parameter) for group, parameter in pairs]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = tensor.clone()
    for place, values in state.items():
        if {name: value.shape for name, value in values.items()} != expected[place]:
            raise ModelError("the checkpoint is of another optimizer than this run's")
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def carried_tensors(task: Task, hidden: Any, processes: Processes) -> dict[str, Tensor]:  # noqa: ANN401
    """Give the hidden states of all streams and the states of all processes' generators."""
    carried: dict[str, Tensor] = {}
    if processes.sums([float(hidden is not None)])[0]:
        for number, tensor in enumerate(task.pack(hidden)):
            carried[f"hidden.{number}"] = processes.gather_rows(tensor)
    for name, state in _generators(task).items():
        carried[name] = processes.gather_rows(state[None])
    return carried


def set_carried(task: Task, tensors: Mapping[str, Tensor], processes: Processes, seed: int) -> Any:  # noqa: ANN401
    """Set the random generators back; give the hidden states of this process's streams.

    With another number of processes than before the generators begin anew, from `seed`.
    """
    device = next(task.module.parameters()).device
    for name in _generators(task):
        states = tensors[name] if name in tensors else torch.zeros(0)
        if len(states) == processes.size:
            _set_generator(name, states[processes.rank].clone())
        else:
            torch.manual_seed(seed * 1_000_003 + processes.rank)
    hidden = [tensors[key] for key in sorted(tensors, key=_number) if key.startswith("hidden.")]
    if not hidden:
        return None
    start, end = rows_of(processes.rank, processes.size, len(hidden[0]))
    return task.unpack([tensor[start:end].clone().to(device) for tensor in hidden])


DAMAGE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError)


@contextmanager
def damaged_checkpoints(step: int) -> Iterator[None]:
    """Turn what goes wrong while a checkpoint's contents are taken over into ModelError."""
    try:
        yield
    except DAMAGE as fault:
        raise ModelError(
            f"the checkpoint of step {step} is damaged or of another version: {fault!r}",
            "--force starts the run anew",
        ) from fault


def capture(
    task: Task,
    state: TrainState,
    optimizer: torch.optim.Optimizer,
    hidden: Any,  # noqa: ANN401
    kept: dict[str, dict[str, Tensor]],
    processes: Processes,
) -> Checkpoint:
    """Gather a checkpoint; with several processes all must call this together.

    `kept` is what it shall hold besides, by file name and tensor name.
    """
    tensors = {
        "model": weights_of(task.module),
        "optimizer": optimizer_tensors(optimizer),
        "carried": carried_tensors(task, hidden, processes),
    }
    return Checkpoint(asdict(state), tensors | kept)


def save_for_all(checkpoints: Checkpoints, checkpoint: Checkpoint, processes: Processes) -> None:
    """Let the first process write; raise DiskError in all where it could not."""
    fault = None
    if processes.rank == 0:
        try:
            checkpoints.save(checkpoint)
        except DiskError as error:
            fault = error
    processes.wait()
    if processes.sums([float(fault is not None)])[0]:
        raise fault or DiskError("the first process could not save the checkpoint")


def train_state(values: Mapping[str, Any]) -> TrainState:
    """Read a TrainState back from plain data."""
    names = [field.name for field in fields(TrainState)]
    if missing := [name for name in names if name not in values]:
        raise ModelError(f"the checkpoint does not say '{missing[0]}'")
    state = TrainState(**{name: values[name] for name in names})
    for name, default in asdict(TrainState()).items():
        value = values[name]
        number = isinstance(value, int | float if isinstance(default, float) else int)
        if isinstance(default, int | float) and not (number and default - 1 <= value < 2**63):
            raise ValueError(f"'{name}' is {value!r}")
    return state


def _generators(task: Task) -> dict[str, Tensor]:
    """Give the states of the random generators that dropout draws from."""
    device = next(task.module.parameters()).device
    states = {"random.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["random.cuda"] = torch.cuda.get_rng_state(device)
    return states


def _set_generator(name: str, state: Tensor) -> None:
    if name == "random.cuda":
        torch.cuda.set_rng_state(state)
    else:
        torch.set_rng_state(state)


def _number(key: str) -> int:
    return int(key.split(".")[1]) if key.startswith("hidden.") else -1
