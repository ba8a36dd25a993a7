"""Weights & Biases: the project `charlm`, or WANDB_PROJECT's; its own variables are in force."""

import os
from collections.abc import Mapping

from charlm.sinks.sink import PROJECT, SinkRun

UNSENT = ("offline", "dryrun", "disabled")


class WeightsAndBiases:
    """Logs with `step` as the axis, so that a run which goes back may log a step again."""

    def __init__(self, run: SinkRun) -> None:
        import wandb

        here = os.environ.get("WANDB_MODE") in UNSENT
        if not here and not wandb.login(prompt=False):  # which would ask on the terminal
            raise PermissionError("nobody is logged in: wandb login, or WANDB_MODE=offline")
        identity, known = run.identity("wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=identity,
            name=run.name,
            resume="allow" if known else None,
            config=dict(run.config),
            dir=str(run.directory),
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
        self._run.define_metric("*", step_metric="step")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log values, and the step among them."""
        self._run.log({"step": step, **values})

    def go_back(self, step: int) -> None:
        """Leave what was logged: the curve will have two branches."""

    def close(self) -> None:
        """Wait until all is sent."""
        self._run.finish()
