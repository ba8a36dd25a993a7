"""Forecasts that need no learning: what every model has to be compared with.

Hyndman & Athanasopoulos 2021, "Forecasting: Principles and Practice" (3rd ed.), section 5.2.
Legend: L rows, C columns, O origins (rows after which a forecast begins), H rows ahead.
"""

from collections.abc import Callable

import numpy as np

Naive = Callable[[np.ndarray, np.ndarray, int, int, np.ndarray], np.ndarray]


def persistence(
    filled: np.ndarray, origins: np.ndarray, horizon: int, season: int, begins: np.ndarray
) -> np.ndarray:
    """Give the last value for all times to come: (O, H, C) of filled (L, C), origins (O,)."""
    return np.repeat(filled[origins][:, None], horizon, axis=1)


def seasonal_naive(
    filled: np.ndarray, origins: np.ndarray, horizon: int, season: int, begins: np.ndarray
) -> np.ndarray:
    """Give the last value of the same place in the season, (O, H, C)."""
    ahead = np.arange(1, horizon + 1)
    back = season * -(-ahead // season)  # whole seasons, as few as reach what is known
    places = origins[:, None] + ahead - back
    return np.asarray(filled[np.maximum(places, 0)])


def drift(
    filled: np.ndarray, origins: np.ndarray, horizon: int, season: int, begins: np.ndarray
) -> np.ndarray:
    """Go on by the mean change from a column's first value, in row `begins` (C,), to the last."""
    rows = np.maximum(origins[:, None] - begins, 1)
    slope = (filled[origins] - filled[0]) / rows  # (O, C)
    ahead = np.arange(1, horizon + 1)[None, :, None]
    return np.asarray(filled[origins][:, None] + ahead * slope[:, None])


NAIVE: dict[str, Naive] = {
    "persistence": persistence,
    "seasonal_naive": seasonal_naive,
    "drift": drift,
}
