"""charlm: next-word prediction with recurrent networks.

    import charlm
    lm = charlm.train("book.txt", minutes=2, out="runs/book")   # or charlm.load("runs/book")
    lm.generate("Once upon", max_tokens=100, temperature=0.8, seed=1)
    lm.suggest("the cat sa", k=5)
    lm.evaluate("unseen text")
    charlm.series.train("sunspots.csv").forecast(24)            # numbers instead of words

Importing charlm loads neither PyTorch nor NumPy; each name comes with its module on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

from charlm.version import __version__

if TYPE_CHECKING:
    from charlm import series as series
    from charlm.errors import CharlmError
    from charlm.evaluation.metrics import Evaluation
    from charlm.generation.suggest import Suggestion
    from charlm.language.fit import train
    from charlm.language.handle import LanguageModel, load
    from charlm.predict.predictor import Prediction, Predictor
    from charlm.tuning.series_tune import tune_series
    from charlm.tuning.tune import tune

_HOMES = {
    "CharlmError": "charlm.errors",
    "Evaluation": "charlm.evaluation.metrics",
    "LanguageModel": "charlm.language.handle",
    "Prediction": "charlm.predict.predictor",
    "Predictor": "charlm.predict.predictor",
    "Suggestion": "charlm.generation.suggest",
    "load": "charlm.language.handle",
    "train": "charlm.language.fit",
    "tune": "charlm.tuning.tune",
    "tune_series": "charlm.tuning.series_tune",
}

__all__ = [
    "CharlmError",
    "Evaluation",
    "LanguageModel",
    "Prediction",
    "Predictor",
    "Suggestion",
    "__version__",
    "load",
    "train",
    "tune",
    "tune_series",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name's module when the name is first used."""
    if name == "series":  # the other wing, with train, load and SeriesModel of its own
        return importlib.import_module("charlm.series")
    if name not in _HOMES:
        raise AttributeError(f"module 'charlm' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
