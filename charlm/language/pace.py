"""What a combination costs: the tokens that one stream writes in a second, beside the network."""

import time
from typing import TYPE_CHECKING

import numpy as np

from charlm.language.combination import NETWORK
from charlm.predict.predictor import Predictor

if TYPE_CHECKING:
    from charlm.language.handle import LanguageModel

SECONDS = 0.02  # that each is measured for: runs of a second should not notice
FEWEST = 8  # steps


def tokens_per_second(model: "LanguageModel") -> dict[str, float]:
    """Measure the network alone and the predictor that `generate` uses, in NumPy on the CPU."""
    parts = model.parts
    names = dict.fromkeys((NETWORK, model.name))
    return {name: round(_speed(parts.predictor(name, parts.network)), 1) for name in names}


def _speed(predictor: Predictor) -> float:
    """Let one stream write for a moment, each token drawn as it comes."""
    noise = np.random.default_rng(0)
    state = predictor.start(1)
    prediction, steps, began = predictor.prediction(state), 0, 0.0
    while True:
        if steps == FEWEST:  # the first ones find everything cold
            began = time.perf_counter()
        ids = prediction.draw(lambda log_probs: log_probs, noise.random(1))
        prediction, state = predictor.step(ids, state)
        steps += 1
        seconds = time.perf_counter() - began
        if steps >= 2 * FEWEST and seconds > SECONDS:
            return (steps - FEWEST) / seconds
