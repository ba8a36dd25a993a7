"""Padded batches of separate documents, for corpora of many short ones.

Documents of similar length are put together, so that little is padding. Their order is drawn anew
for each epoch, as a pure function of seed and epoch. Documents longer than a window are read window
by window, with the state carried inside the batch.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from charlm.batches.batch import Batch, Position, epoch_generator

PADDING = 0  # an id like any other; the mask says that it is not real
POOL = 64  # batches whose documents are sorted by length together


class PaddedBatches:
    """Deals out documents as batches; document k is ids[boundaries[k] : boundaries[k + 1] + 1]."""

    def __init__(
        self,
        ids: np.ndarray,
        boundaries: np.ndarray,
        *,
        batch_size: int,
        window: int,
        seed: int,
    ) -> None:
        self._ids = ids
        self._boundaries = np.asarray(boundaries)
        self._lengths = np.diff(self._boundaries)
        self.num_targets = int(self._lengths.sum())
        assert self.num_targets >= 1, "documents without a prediction leave nothing to deal out"
        self.batch_size = min(batch_size, int(np.count_nonzero(self._lengths)))
        self.window = window
        self._seed = seed

    def batches(
        self, position: Position | None = None, progress: Callable[[], float] = lambda: 1.0
    ) -> Iterator[tuple[Batch, Position]]:
        """Yield (batch, position after it), without end, from `position` on.

        Windows of documents are of one width, whatever the run's `progress`.
        """
        position = position or Position()
        while True:
            steps = self._steps(position.epoch)
            for number in range(position.offset, len(steps)):
                after = Position(position.epoch, number + 1)
                if after.offset >= len(steps):
                    after = Position(position.epoch + 1, 0)
                yield self._batch(*steps[number]), after
            position = Position(position.epoch + 1, 0)

    def _steps(self, epoch: int) -> list[tuple[np.ndarray, int]]:
        """List an epoch's batches: the documents of each, and which window of them."""
        return [
            (documents, window)
            for documents in self._order(epoch)
            for window in range(-(-int(self._lengths[documents].max()) // self.window))
        ]

    def _order(self, epoch: int) -> list[np.ndarray]:
        """Shuffle documents, sort each pool by length, cut into batches, shuffle the batches."""
        generator = epoch_generator(self._seed, epoch)
        shuffled = generator.permutation(len(self._lengths))
        shuffled = shuffled[self._lengths[shuffled] > 0]
        batches = []
        pool = self.batch_size * POOL
        for start in range(0, len(shuffled), pool):
            part = shuffled[start : start + pool]
            part = part[np.argsort(self._lengths[part], kind="stable")]
            cuts = range(self.batch_size, len(part), self.batch_size)
            batches.extend(np.split(part, cuts))
        return [batches[index] for index in generator.permutation(len(batches))]

    def _batch(self, documents: np.ndarray, window: int) -> Batch:
        start = window * self.window
        pieces = []
        for document in documents:
            first, last = self._boundaries[document], self._boundaries[document + 1]
            begin = min(first + start, last)
            pieces.append(self._ids[begin : min(begin + self.window, last) + 1])
        return pad(pieces, fresh=window == 0)


def pad(documents: Sequence[np.ndarray], fresh: bool = True) -> Batch:
    """Make one batch of ids of different lengths; each is n inputs and the n targets after them.

    A document of n + 1 ids gives n predictions; an empty one, or one id alone, gives none.
    """
    lengths = np.array([max(len(document) - 1, 0) for document in documents])
    shape = (len(documents), max(int(lengths.max()), 1))
    inputs = np.full(shape, PADDING, dtype=np.int64)
    targets = np.full(shape, PADDING, dtype=np.int64)
    for row, (document, length) in enumerate(zip(documents, lengths, strict=True)):
        inputs[row, :length] = document[:length]
        targets[row, :length] = document[1 : length + 1]
    mask = np.arange(shape[1]) < lengths[:, None]
    return Batch(inputs, targets, None if mask.all() else mask, fresh)
