"""The score of a distribution: how far it is, as a whole, from what came."""

import numpy as np

LEVELS = np.arange(0.5, 100) / 100  # of the quantiles that make a score


def crps(quantiles: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give the continuous ranked probability score of quantiles (..., Q) of LEVELS for truth (...).

    Twice the mean of the quantiles' pinball losses (Gneiting & Ranjan 2011, section 2.3).
    """
    errors = truth[..., None] - quantiles
    return np.asarray(2 * np.maximum(LEVELS * errors, (LEVELS - 1) * errors).mean(axis=-1))
