"""The weights that a run ends with: those of its best validation, perhaps averaged ones."""

import math
from typing import Any

from torch import Tensor, nn

from charlm.training.averaging import Averaging
from charlm.training.checkpoints import Checkpoint
from charlm.training.loop import LoopOptions
from charlm.training.snapshot import set_weights
from charlm.training.task import TrainState


class Kept:
    """What is kept of a module's weights beside those that the steps change."""

    def __init__(self, module: nn.Module, options: LoopOptions) -> None:
        self._module = module
        self._options = options
        self.averaging = Averaging(module, options)
        self._best: dict[str, Tensor] | None = None

    def judge(self, state: TrainState, nats: float) -> None:
        """Compare a validation with the best so far; where it is better, remember the weights."""
        if math.isfinite(nats) and (state.best_nats is None or nats < state.best_nats):
            state.best_nats, state.best_step = nats, state.step
            state.validations_since_best = 0
            weights = self.averaging.weights()
            self._best = {name: weight.clone() for name, weight in weights.items()}
        else:
            state.validations_since_best += 1
        self.averaging.judge(nats)

    def put_back(self) -> None:
        """Give the module the best weights, or the last ones where none were validated."""
        set_weights(self._module, self._best or self.averaging.weights())
        self._best = None

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Give, by the names of a checkpoint's files, what it must hold of this."""
        found = {} if self._best is None else {"best": self._best}
        return found | ({"average": self.averaging.weights()} if self.averaging.is_on else {})

    def state(self) -> dict[str, Any]:
        """Give what else it must hold, as plain data; nothing without averaging."""
        return {"averaging": self.averaging.state()} if self._options.averages else {}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint; one without averaging begins it here."""
        self._best = checkpoint.tensors.get("best")
        self.averaging = Averaging(self._module, self._options)
        if self._options.averages and "averaging" in checkpoint.state:
            mean = checkpoint.tensors.get("average", {})
            self.averaging.restore(checkpoint.state["averaging"], mean)
