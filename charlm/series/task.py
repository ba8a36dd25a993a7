"""The series task: rows of a series in, a loss in the head's unit out; what the trainer trains.

Legend: B streams, T steps, C columns.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from charlm.batches.batch import Batch
from charlm.batches.streams import Streams
from charlm.model.state import State
from charlm.runs.streaming import StreamTask
from charlm.series.network import SeriesNetwork
from charlm.training.task import Score

WARM_UP = 2_000  # rows read before the held-out part
BURN_IN = 16  # rows of a stream that are read before any is predicted,
SHARE = 16  # or this part of a shorter one: who forecasts has read what came before
WINDOW = 512


@dataclass(frozen=True)
class HeldOut:
    """The part of a series that training steers by.

    rows:  (L, 3 C), with what is read before it
    first: the first row that is predicted
    """

    rows: np.ndarray
    first: int


class SeriesTask(StreamTask):
    """Teaches a `SeriesNetwork` to predict the rows that streams deal out."""

    module: SeriesNetwork

    def __init__(
        self,
        network: SeriesNetwork,
        streams: Streams,
        held_out: HeldOut | None,
        device: torch.device,
    ) -> None:
        super().__init__(network, streams, device)
        self._held_out = held_out
        self._chosen = torch.tensor(network.config.features.chosen(), device=device)
        self._columns = network.config.features.columns
        self._burn_in = min(BURN_IN, streams.num_targets // streams.batch_size // SHARE)

    def loss_of_window(self, batch: Batch, state: State) -> tuple[Tensor, State]:
        """Sum the losses of a window's known targets."""
        mask = self.tensor(self._counted(batch))
        resets = None if batch.resets is None else self.tensor(batch.resets)
        rows, targets = self.tensor(batch.inputs), self.tensor(batch.targets)
        return self._loss(rows, targets, state, mask, resets)

    def num_targets(self, batch: Batch) -> int:
        """Count the known values among a batch's targets that are learned from."""
        known = batch.targets[..., self._columns : 2 * self._columns]
        return int((known * self._counted(batch)[..., None]).sum())

    def _counted(self, batch: Batch) -> np.ndarray:
        """Tell which targets are learned from, (B, T): none right after a stream's beginning.

        There the network cannot know yet where it is, and its errors would drown all others (as the
        burn-in of Kapturowski et al. 2019, "Recurrent Experience Replay").
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

    @torch.no_grad()
    def validate(self, rank: int, size: int, stop: Callable[[], bool]) -> Score | None:
        """Score the held-out part, one row after the other; the first process does."""
        if self._held_out is None:
            return None
        if rank > 0:
            return Score(0.0, 0)
        rows, first = self._held_out.rows, self._held_out.first
        start = max(0, first - WARM_UP)
        self.module.eval()
        state, total, count = self.module.initial_state(1), 0.0, 0
        while start < len(rows) - 1 and not stop():
            end = min(start + WINDOW, first - 1 if start < first - 1 else len(rows) - 1)
            inputs, targets = (
                self.tensor(rows[None, a : a + end - start]) for a in (start, start + 1)
            )
            loss, state = self._loss(inputs, targets, state, None, None)
            if start >= first - 1:
                total += float(loss)
                count += int(rows[start + 1 : end + 1, self._columns : 2 * self._columns].sum())
            start = end
        self.module.train()
        return Score(total, count, complete=start >= len(rows) - 1)

    def _loss(
        self,
        rows: Tensor,
        targets: Tensor,
        state: State,
        mask: Tensor | None,
        resets: Tensor | None,
    ) -> tuple[Tensor, State]:
        """Sum the losses of targets (B, T, 3 C) after rows (B, T, 3 C), where they are known."""
        outputs, state = self.module(rows.index_select(-1, self._chosen), state, resets)
        values, known, _ = torch.split(targets, self._columns, dim=-1)
        losses = self.module.kind.loss(outputs, values) * known
        if mask is not None:
            losses = losses * mask[..., None]
        return losses.sum(), state
