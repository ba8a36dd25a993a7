"""Reading a series with a network, and letting it go on by itself: the closed loop.

Legend: N streams, L rows, C columns, K numbers of the head, H rows ahead, M rows in a season.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from charlm.model.state import State, select_state, stack_states
from charlm.series.features import Features
from charlm.series.network import SeriesNetwork
from charlm.series.scaling import Scaling

WINDOW = 1_024  # rows read at a time

Choice = Callable[[np.ndarray], np.ndarray]  # of the head's numbers (N, C, K): scaled values (N, C)


@dataclass(frozen=True)
class Origins:
    """Where closed loops begin: N streams, each after some row of a series.

    state:   the network's, after that row
    outputs: the head's numbers for the next row, (N, C, K)
    values:  of that row, (N, C), the last known ones
    recent:  the scaled values of the last M rows up to it, (N, M, C); M is 1 without a lag
    """

    state: State
    outputs: np.ndarray
    values: np.ndarray
    recent: np.ndarray

    def repeated(self, times: int) -> "Origins":
        """Give each origin so many times, one after the other."""
        index = np.repeat(np.arange(len(self.values)), times)
        state = select_state(self.state, torch.from_numpy(index).to(self.state[0].device))
        return Origins(state, self.outputs[index], self.values[index], self.recent[index])


class Roller:
    """A network with what it needs to read values and to give values."""

    def __init__(self, network: SeriesNetwork, features: Features, scaling: Scaling) -> None:
        self.network = network
        self.features = features
        self.scaling = scaling
        self.device = next(network.parameters()).device
        self._chosen = features.chosen()

    @torch.no_grad()
    def read(
        self, rows: np.ndarray, filled: np.ndarray, origins: np.ndarray
    ) -> tuple[np.ndarray, Origins]:
        """Read rows (L, 3 C) from the beginning, as one stream.

        filled:  (L, C), the values without gaps
        origins: (N,) rows, increasing, whose states are kept
        Gives the head's numbers after each row, (L, C, K), and the origins.
        """
        self.network.eval()
        state, outputs, states = self.network.initial_state(1), [], []
        edges = sorted({*range(WINDOW, len(rows), WINDOW), *(origins + 1).tolist(), len(rows)})
        kept, start = set(origins.tolist()), 0
        for end in edges:
            inputs = torch.from_numpy(rows[start:end, self._chosen]).to(self.device)
            numbers, state = self.network(inputs.unsqueeze(0), state)
            outputs.append(numbers[0].double().cpu().numpy())
            if end - 1 in kept:
                states.append(state)
            start = end
        whole = np.concatenate(outputs)
        return whole, self._origins(stack_states(states), whole, rows, filled, origins)

    def _origins(
        self,
        state: State,
        outputs: np.ndarray,
        rows: np.ndarray,
        filled: np.ndarray,
        origins: np.ndarray,
    ) -> Origins:
        width = max(self.features.lag, 1)
        places = origins[:, None] + np.arange(1 - width, 1)  # (N, M)
        scaled = rows[:, : self.features.columns].astype(np.float64)
        recent = np.where(places[..., None] >= 0, scaled[np.maximum(places, 0)], 0.0)
        return Origins(state, outputs[origins], filled[origins], recent)

    @torch.no_grad()
    def roll(self, origins: Origins, horizon: int, choose: Choice) -> np.ndarray:
        """Go on from each origin, reading what was chosen itself; give values (N, H, C)."""
        self.network.eval()
        count, columns = origins.values.shape
        width = origins.recent.shape[1]
        scaled = np.concatenate([origins.recent, np.zeros((count, horizon, columns))], axis=1)
        found = np.empty((count, horizon, columns))
        outputs, state, before = origins.outputs, origins.state, origins.values
        known = np.ones((count, columns))
        for ahead in range(horizon):
            chosen = choose(outputs)
            before = self.scaling.decode(chosen, before)
            found[:, ahead] = before
            scaled[:, width + ahead] = chosen
            if ahead + 1 < horizon:
                inputs = self.features.read(chosen, known, scaled[:, ahead + 1])
                read = torch.from_numpy(inputs[:, None].astype(np.float32)).to(self.device)
                numbers, state = self.network(read, state)
                outputs = numbers[:, 0].double().cpu().numpy()
        return found

    def points(self, outputs: np.ndarray) -> np.ndarray:
        """Give the network's best guess, scaled."""
        return self.network.kind.point(outputs)

    def quantiles(self, outputs: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Give quantiles, scaled; levels broadcast with (..., C)."""
        return self.network.kind.quantiles(outputs, levels)

    def draw(
        self, origins: Origins, horizon: int, paths: int, generator: np.random.Generator
    ) -> np.ndarray:
        """Go on from each origin in so many ways at random; give values (paths, N, H, C).

        At each step the ways of an origin draw from shares of the distribution that are equally
        probable, one each, in a new order (Latin hypercube sampling, McKay et al. 1979): few ways
        then have a median and a band that are nearly those of many.
        """
        count = len(origins.values)

        def choose(outputs: np.ndarray) -> np.ndarray:
            shape = count, paths, outputs.shape[1]
            order = generator.random(shape).argsort(axis=1)
            levels = (order + generator.random(shape)) / paths
            return self.quantiles(outputs, levels.reshape(outputs.shape[:-1]))

        drawn = self.roll(origins.repeated(paths), horizon, choose)
        return np.moveaxis(drawn.reshape(count, paths, horizon, -1), 1, 0)
