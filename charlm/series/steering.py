"""What training steers by: rows that are not learned from, one step ahead or in closed loop.

Which is what the model will be asked for: of a distribution the next value's, of a point many steps
ahead, each made from the one before. A network may do the one well and the other not.
Legend: C columns, O origins, H rows ahead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from charlm.series.network import SeriesNetwork
from charlm.series.rollout import Roller
from charlm.series.table import Table
from charlm.training.task import Score

WARM_UP = 2_000  # rows read before the held-out part
WINDOW = 512
ORIGINS = 8
AHEAD = 0.75  # of the part, at most, is forecast from an origin


class Steering(Protocol):
    """A score of a network on held-out rows: the smaller, the better."""

    def score(self, network: SeriesNetwork, stop: Callable[[], bool]) -> Score:
        """Score it, or give up where `stop` says so."""


@dataclass(frozen=True)
class OneStep:
    """The head's loss of each row, after all rows before it.

    rows:  (L, 3 C) up to the part's end, as the network reads them
    first: the first row that is predicted
    """

    rows: np.ndarray
    first: int

    @torch.no_grad()
    def score(self, network: SeriesNetwork, stop: Callable[[], bool]) -> Score:
        """Score a network, in the unit of its head."""
        rows, first = self.rows, self.first
        start = max(0, first - WARM_UP)
        device = next(network.parameters()).device
        state, total, count = network.initial_state(1), 0.0, 0
        while start < len(rows) - 1 and not stop():
            end = min(start + WINDOW, first - 1 if start < first - 1 else len(rows) - 1)
            inputs, targets = (
                torch.from_numpy(rows[None, a : a + end - start]).to(device)
                for a in (start, start + 1)
            )
            losses, state = network.losses(inputs, targets, state)
            if start >= first - 1:
                total += float(losses.sum())
                count += int(network.known(targets).sum())
            start = end
        return Score(total, count, complete=start >= len(rows) - 1)


class ClosedLoop:
    """The error of forecasts from rows spread over the first quarter of the part."""

    def __init__(self, roller: Roller, table: Table, first: int, horizon: int) -> None:
        """Take a series up to the part's end; `horizon` is how far the model will be asked."""
        self._roller = roller
        start = max(0, first - WARM_UP)
        self._rows = roller.features.rows(table, roller.scaling)[start:]
        self._filled = table.filled()[start:]
        length = len(table) - first
        self._horizon = max(1, min(horizon, int(AHEAD * length)))
        last = len(table) - 1 - self._horizon
        places = np.unique(np.linspace(first - 1, last, ORIGINS).round().astype(int)) - start
        self._origins = places
        self._truth = table.values[start:][places[:, None] + np.arange(1, self._horizon + 1)]
        self._scale = np.nanstd(table.values[:first], axis=0)

    def score(self, network: SeriesNetwork, stop: Callable[[], bool]) -> Score:
        """Score a network: squares or absolutes of errors, in standard deviations."""
        _, origins = self._roller.read(self._rows, self._filled, self._origins)
        values = self._roller.roll(origins, self._horizon, self._roller.points)
        errors = (values - self._truth) / self._scale
        errors = errors[np.isfinite(self._truth)]
        losses = np.abs(errors) if network.config.head == "absolute" else errors**2
        return Score(float(losses.sum()), errors.size, complete=not stop())
