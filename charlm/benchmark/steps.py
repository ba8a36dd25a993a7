"""A training step of charlm's, and one of the textbook loop's, each to be timed by calling it."""

import torch

from charlm.batches.streams import Streams
from charlm.benchmark.ids import Ids, whole_windows
from charlm.benchmark.shapes import Shape, planned
from charlm.benchmark.textbook import TextbookLoop, TextbookModel
from charlm.language.task import LanguageTask
from charlm.model.network import LanguageNetwork
from charlm.training.progress import Progress
from charlm.training.trainer import Trainer

SEED = 1
WARM_UP = 24  # steps


class OwnStep:
    """What `charlm train` does between two looks at the clock: batch, gradient, clip, update."""

    def __init__(self, shape: Shape, ids: Ids, bf16: bool) -> None:
        plan = planned(shape, torch.get_num_threads(), bf16)
        torch.manual_seed(SEED)
        self.network = LanguageNetwork(plan.network)
        streams = Streams(
            whole_windows(ids.ids, shape.batch, shape.window),
            batch_size=plan.batch_size,
            windows=plan.windows,
            seed=SEED,
        )
        task = LanguageTask(self.network, streams, None, torch.device("cpu"), bf16)
        progress = Progress(plan.budget)
        self._trainer = Trainer(task, plan.budget, plan.optimizer, plan.loop, progress)
        self._batches = task.batches(None)
        self.network.train()

    def warm_up(self) -> None:
        """Take the first steps of a run, in which products of most sizes are met and compiled."""
        for _ in range(WARM_UP):
            self()

    def __call__(self) -> None:
        """Take one step."""
        batch, _ = next(self._batches)
        self._trainer.train_step(batch)


def textbook_step(shape: Shape, ids: Ids) -> TextbookLoop:
    """Make the textbook loop for a shape; its `step` is what is timed."""
    torch.manual_seed(SEED)
    size = shape.embed or shape.hidden
    model = TextbookModel(
        shape.vocab_size, size, shape.hidden, shape.layers, shape.dropout, tied=shape.tied
    )
    text = torch.from_numpy(whole_windows(ids.ids, shape.batch, shape.window).astype("int64"))
    return TextbookLoop(model, text, batch_size=shape.batch, window=shape.window)
