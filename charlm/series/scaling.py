"""From values to numbers that a network learns well, and back: fitted on the training part alone.

Legend: L rows, C columns.

    standard        (y - mean) / standard deviation
    min-max         (y - smallest) / (largest - smallest)
    robust          (y - median) / (third - first quartile)
    difference      (d - mean) / standard deviation,  d = y_t - y_{t-1}
    log-difference  the same of d = log y_t - log y_{t-1}, for what is above 0: growth
    none            y
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from charlm.errors import CorpusError
from charlm.series.table import Table

DIFFERENCE, LOG = "difference", "log-difference"
KINDS = ("standard", "min-max", "robust", DIFFERENCE, LOG, "none")
AUTO = "auto"
KPSS_CRITICAL = 0.463  # at 5 % (Kwiatkowski et al. 1992, table 1, without trend)
GROWTH = 1.5  # largest by smallest value, of quarters' means, from which growth is in per cent


@dataclass(frozen=True)
class Scaling:
    """How each of C columns is scaled.

    shift, scale: of each column; scale is above 0
    """

    kind: str
    shift: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def differs(self) -> bool:
        """Tell whether changes are scaled, and not values."""
        return self.kind in ("difference", "log-difference")

    def encode(self, filled: np.ndarray) -> np.ndarray:
        """Scale values (L, C) without gaps; the first change, from no value at all, is 0."""
        raw = _changes(filled, self.kind) if self.differs else filled
        scaled: np.ndarray = (raw - np.array(self.shift)) / np.array(self.scale)
        if self.differs and len(scaled):
            scaled[0] = 0.0
        return scaled

    def decode(self, scaled: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Turn scaled numbers (..., C) into values; `before` is the value one step earlier."""
        raw: np.ndarray = scaled * np.array(self.scale) + np.array(self.shift)
        if self.kind == "difference":
            raw = before + raw
        elif self.kind == "log-difference":
            raw = before * np.exp(np.clip(raw, -50.0, 50.0))
        return raw

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        return asdict(self)


def above_zero(table: Table) -> bool:
    """Tell whether all known values of a series have a logarithm."""
    return not bool((table.values[table.known] <= 0).any())


def check_scalable(kind: str, table: Table) -> None:
    """Raise CorpusError where a series holds values that a scaling cannot take."""
    if kind == LOG and not above_zero(table):
        bad = table.known & (np.where(table.known, table.values, 1.0) <= 0)
        row = int(bad.any(axis=1).argmax())
        name = table.names[int(bad[row].argmax())]
        raise CorpusError(
            f"column '{name}', row {row + 1:,}: a value of 0 or less has no logarithm",
            "train with --scaling difference, which takes it",
        )


def fit_scaling(kind: str, values: np.ndarray, names: tuple[str, ...]) -> Scaling:
    """Fit a scaling of one kind to values (L, C) without gaps."""
    raw = values
    if kind in ("difference", "log-difference"):
        raw = _changes(values, kind)[1:]
    if kind == "none":
        shift, scale = np.zeros(values.shape[1]), np.ones(values.shape[1])
    elif kind == "min-max":
        shift, scale = raw.min(axis=0), np.ptp(raw, axis=0)
    elif kind == "robust":
        first, shift, third = np.quantile(raw, [0.25, 0.5, 0.75], axis=0)
        scale = third - first
    else:
        shift, scale = raw.mean(axis=0), raw.std(axis=0)
    scale = np.where(scale > 0, scale, np.where(raw.std(axis=0) > 0, raw.std(axis=0), 1.0))
    return Scaling(kind, tuple(map(float, shift)), tuple(map(float, scale)))


def choose_kind(values: np.ndarray) -> str:
    """Choose between values and changes, for all columns; values (L, C) have no gaps.

    Changes where a column has no level that it returns to (the test of Kwiatkowski et al. 1992),
    and relative ones where all is above 0 and grows.
    """
    if not any(kpss(column) > KPSS_CRITICAL for column in values.T):
        return "standard"
    if (values <= 0).any():
        return "difference"
    quarters = np.array([part.mean(axis=0) for part in np.array_split(values, 4)])
    grows = (quarters.max(axis=0) / quarters.min(axis=0) >= GROWTH).any()
    return "log-difference" if grows else "difference"


def kpss(column: np.ndarray) -> float:
    """Measure how far a column (L,) is from returning to one level: above 0.463 it hardly does.

    The statistic of Kwiatkowski, Phillips, Schmidt & Shin 1992, equation 13, with Bartlett's
    weights over 12 (L / 100)^(1/4) lags.
    """
    count = len(column)
    errors = column - column.mean()
    lags = min(count - 1, int(12 * (count / 100) ** 0.25))
    variance = errors @ errors
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * (errors[lag:] @ errors[:-lag])
    sums = np.cumsum(errors)
    return float(sums @ sums / (count * max(variance, 1e-300)))


def _changes(values: np.ndarray, kind: str) -> np.ndarray:
    levels = np.log(np.maximum(values, 1e-300)) if kind == "log-difference" else values
    return np.diff(levels, axis=0, prepend=levels[:1])
