"""From the names of sinks to observers of a run."""

from collections.abc import Callable
from functools import partial

from charlm.sinks.delivery import Delivery
from charlm.sinks.sink import Sink, SinkRun
from charlm.sinks.tensorboard import TensorBoard
from charlm.sinks.trackio import Trackio
from charlm.sinks.wandb import WeightsAndBiases

SINKS: dict[str, Callable[[SinkRun], Sink]] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "wandb": WeightsAndBiases,
}


def open_sinks(names: tuple[str, ...], run: SinkRun, tell: Callable[[str], None]) -> list[Delivery]:
    """Start to deliver to sinks; `tell` hears of what fails, in the thread of the run."""
    return [Delivery(name, partial(SINKS[name], run), tell) for name in names]
