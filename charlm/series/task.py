"""The series task: rows of a series in, a loss in the head's unit out; what the trainer trains.

Legend: B streams, T steps, C columns.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from charlm.batches.batch import Batch
from charlm.batches.streams import Streams
from charlm.model.state import State
from charlm.runs.streaming import StreamTask
from charlm.series.network import SeriesNetwork
from charlm.series.steering import Steering
from charlm.training.task import Score

BURN_IN = 16  # rows of a stream that are read before any is predicted,
SHARE = 16  # or this part of a shorter one: who forecasts has read what came before


class SeriesTask(StreamTask):
    """Teaches a `SeriesNetwork` to predict the rows that streams deal out."""

    module: SeriesNetwork

    def __init__(
        self,
        network: SeriesNetwork,
        streams: Streams,
        steering: Steering | None,
        device: torch.device,
    ) -> None:
        super().__init__(network, streams, device)
        self._steering = steering
        self._columns = network.config.features.columns
        self._burn_in = min(BURN_IN, streams.num_targets // streams.batch_size // SHARE)

    def loss_of_window(self, batch: Batch, state: State) -> tuple[Tensor, State]:
        """Sum the losses of a window's known targets."""
        resets = None if batch.resets is None else self.tensor(batch.resets)
        rows, targets = self.tensor(batch.inputs), self.tensor(batch.targets)
        losses, state = self.module.losses(rows, targets, state, resets)
        counted = self.tensor(self._counted(batch))
        return (losses * counted[..., None]).sum(), state

    def num_targets(self, batch: Batch) -> int:
        """Count the known values among a batch's targets that are learned from."""
        known = batch.targets[..., self._columns : 2 * self._columns]
        return int((known * self._counted(batch)[..., None]).sum())

    def _counted(self, batch: Batch) -> np.ndarray:
        """Tell which targets are learned from, (B, T): none right after a stream's beginning.

        There the network cannot know yet where it is, and its errors would drown all others (as the
        burn-in of Kapturowski et al. 2019, "Recurrent Experience Replay"). No further than the
        window reaches: windows are longer, unless a short --bptt was asked for.
        """
        streams, steps = batch.inputs.shape[:2]
        counted = np.ones((streams, steps), dtype=bool) if batch.mask is None else batch.mask.copy()
        if batch.fresh:
            counted[:, : min(self._burn_in, steps - 1)] = False
        for stream, step in (
            zip(*np.nonzero(batch.resets), strict=True) if batch.resets is not None else ()
        ):
            counted[stream, step : step + self._burn_in] = False
        return counted

    def validate(self, rank: int, size: int, stop: Callable[[], bool]) -> Score | None:
        """Score the held-out part; the first process does."""
        if self._steering is None:
            return None
        if rank > 0:
            return Score(0.0, 0)
        self.module.eval()
        score = self._steering.score(self.module, stop)
        self.module.train()
        return score
