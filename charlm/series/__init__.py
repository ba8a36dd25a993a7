"""Sequences of numbers: the same recurrent stack and trainer on a wave, a price, a temperature.

import charlm
model = charlm.series.train("sunspots.csv", test="20%", out="runs/sunspots")
model.forecast(24).to_frame()
model.evaluate().network.mase
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charlm.series.fit import train
    from charlm.series.forecast import Forecast
    from charlm.series.handle import SeriesModel, load
    from charlm.series.judging import Scores

_HOMES = {
    "Forecast": "charlm.series.forecast",
    "Scores": "charlm.series.judging",
    "SeriesModel": "charlm.series.handle",
    "load": "charlm.series.handle",
    "train": "charlm.series.fit",
}

__all__ = ["Forecast", "Scores", "SeriesModel", "load", "train"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name's module when the name is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'charlm.series' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
