"""Averaged weights: the mean over the last steps of a run, which scores better than the last ones.

From a share of the run on (Polyak & Juditsky 1992), or, non-monotonically triggered, from where
validations no longer gain (NT-ASGD: Merity et al. 2018, arXiv 1708.02182, algorithm 1). The run
itself goes on from the weights that its steps give; the mean is validated and saved.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from charlm.errors import ModelError
from charlm.training.loop import TRIGGERED, LoopOptions
from charlm.training.snapshot import set_weights, weights_of

NON_MONOTONE = 5  # validations without gain that are no reason yet: algorithm 1's n


class Averaging:
    """The mean of a module's weights since averaging began; before that, the weights."""

    def __init__(self, module: nn.Module, options: LoopOptions) -> None:
        self._module = module
        self._waits_for_validations = options.average == TRIGGERED
        self._starts_at = options.average_from
        self._began = False
        self._steps = 0
        self._mean: dict[str, Tensor] = {}
        self._scores: list[float] = []  # of validations so far, where they decide

    @property
    def is_on(self) -> bool:
        """Tell whether there is a mean."""
        return self._steps > 0

    def follow(self, progress: float) -> None:
        """Take the weights that a step at `progress` gave into the mean, if it has begun."""
        if self._starts_at is not None and progress >= self._starts_at:
            self._began = True
        if not self._began:
            return
        self._steps += 1
        weights = weights_of(self._module)
        if self._steps == 1:
            self._mean = {name: weight.clone() for name, weight in weights.items()}
            return
        # mean + (weights - mean) / steps
        torch._foreach_lerp_(list(self._mean.values()), list(weights.values()), 1 / self._steps)

    def judge(self, nats: float) -> None:
        """Begin where a validation is worse than the best of those more than n before it."""
        if self._waits_for_validations and not self._began and math.isfinite(nats):
            self._began = any(nats > earlier for earlier in self._scores[:-NON_MONOTONE])
            self._scores.append(nats)

    def weights(self) -> dict[str, Tensor]:
        """Give what is to be validated and saved: the mean, or the weights where there is none."""
        return self._mean if self.is_on else weights_of(self._module)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the module have the mean for a while."""
        if not self.is_on:
            yield
            return
        own = {name: weight.clone() for name, weight in weights_of(self._module).items()}
        set_weights(self._module, self._mean)
        try:
            yield
        finally:
            set_weights(self._module, own)

    def state(self) -> dict[str, Any]:
        """Give, as plain data, what a resumed run needs beside the mean."""
        return {"began": self._began, "steps": self._steps, "scores": list(self._scores)}

    def restore(self, state: Mapping[str, Any], mean: Mapping[str, Tensor]) -> None:
        """Go on from `state()` and, where it is on, `weights()`.

        Raises ModelError where they do not belong together or to the module.
        """
        own = weights_of(self._module)
        names = own if state["steps"] > 0 else {}
        if state["steps"] < 0 or {k: t.shape for k, t in mean.items()} != {
            k: own[k].shape for k in names
        }:
            raise ModelError(
                "the checkpoint's averaged weights are not those of this run's network"
            )
        self._began, self._steps = bool(state["began"]), int(state["steps"])
        self._scores = [float(score) for score in state["scores"]]
        self._mean = {name: mean[name].clone().to(own[name]) for name in names}
