"""The language task: token ids in, a loss in nats out; what the trainer trains.

Legend: B streams, T steps.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from charlm.batches.batch import Batch
from charlm.language.validation import Validation
from charlm.model.network import LanguageNetwork
from charlm.model.penalties import Penalties
from charlm.model.state import State
from charlm.runs.streaming import Batches, StreamTask
from charlm.training.precision import autocast
from charlm.training.task import Score


class LanguageTask(StreamTask):
    """Teaches a `LanguageNetwork` to predict the ids that `batches` deals out."""

    module: LanguageNetwork

    def __init__(
        self,
        network: LanguageNetwork,
        batches: Batches,
        validation: Validation | None,
        device: torch.device,
        bf16: bool,
        release: Callable[[], None] = lambda: None,
        penalties: Penalties | None = None,
    ) -> None:
        super().__init__(network, batches, device, release)
        self.bf16 = bf16
        self._validation = validation
        self._penalties = penalties

    def loss_of_window(self, batch: Batch, state: State) -> tuple[Tensor, State]:
        """Give the sum of nats over the batch's real targets and the state after it.

        The gradient of that sum has the penalties in it, the sum has not.
        """
        with autocast(self.device, self.bf16):
            return self.module.nats_sum(
                self.tensor(batch.inputs),
                self.tensor(batch.targets),
                state,
                mask=None if batch.mask is None else self.tensor(batch.mask),
                resets=None if batch.resets is None else self.tensor(batch.resets),
                penalties=self._penalties,
            )

    def validate(self, rank: int, size: int, stop: Callable[[], bool]) -> Score | None:
        """Score this process's streams of the held-out part, or of a fair part of it."""
        if self._validation is None:
            return None
        with autocast(self.device, self.bf16):
            return self._validation.score(self.module, self.device, rank, size, stop)
