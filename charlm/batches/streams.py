"""Contiguous streams for truncated backpropagation through time.

What is dealt out is token ids, or the rows of a numeric series in the same order. The corpus is cut
into B streams, read side by side in windows of T steps; the state of each stream is carried from
window to window:

    stream 0   | window 0 | window 1 | window 2 | ...
    stream 1   | window 0 | window 1 | window 2 | ...

Prediction i has input ids[i] and target ids[i + 1]. Each epoch deals out every prediction exactly
once. Epochs after the first begin at another place of the corpus, taken as a circle, so that the
windows' borders fall elsewhere.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from charlm.batches.batch import Batch, Position, epoch_generator
from charlm.batches.windows import Windows

RESTART_RATE = 0.01 / 64  # of the steps of each stream
MAX_CHANCE = 0.5  # of a restart, where one is possible
WINDOW = 1  # marks the random numbers of windows' lengths


@dataclass(frozen=True)
class Restarts:
    """Teaches a network how text begins, though a long corpus begins only once.

    Now and then a stream forgets its state at a place where a text might begin, and reads the
    boundary there instead of what stands before. (Melis et al. 2018 drop states at random places in
    the same way.) It does so where a window begins, so that the layers still read every window in
    one piece.

    boundary_id: what a text begins with
    after:       (V,) bool, the ids after which a text might begin, such as a line feed
    share:       of the text's ids that are such ids
    rate:        of the steps of each stream
    """

    boundary_id: int
    after: np.ndarray
    share: float
    rate: float = RESTART_RATE

    def chance(self, steps: int) -> float:
        """Give the chance to begin anew where a window of so many steps may."""
        return min(MAX_CHANCE, self.rate * steps / self.share) if self.share > 0 else 0.0


class Streams:
    """Deals out `ids`, (L,) and perhaps memory-mapped, as batches of (B, T).

    Rows of numbers (L, F) come as (B, T, F). Restarts are for ids.
    """

    def __init__(
        self,
        ids: np.ndarray,
        *,
        batch_size: int,
        windows: Windows,
        seed: int,
        boundaries: np.ndarray | None = None,
        reset_at_documents: bool = False,
        restarts: Restarts | None = None,
    ) -> None:
        assert len(ids) >= 2, "a corpus of one id has nothing to predict"
        self._ids = ids
        self.num_targets = len(ids) - 1
        self.batch_size = min(batch_size, self.num_targets)
        self.windows = windows
        self._seed = seed
        self._starts_document = np.zeros(0, dtype=np.int64)
        self._reset = reset_at_documents
        self._restarts = restarts
        if reset_at_documents:
            assert boundaries is not None and len(boundaries) > 1, (
                "resets need to know where documents begin"
            )
            self._starts_document = np.asarray(boundaries[:-1])
        # stream b covers predictions edges[b] to edges[b + 1]; lengths differ by one at most
        self._edges = np.arange(self.batch_size + 1) * self.num_targets // self.batch_size
        self._length = int(np.diff(self._edges).max())

    def batches(
        self, position: Position | None = None, progress: Callable[[], float] = lambda: 1.0
    ) -> Iterator[tuple[Batch, Position]]:
        """Yield (batch, position after it), without end, from `position` on.

        `progress` says how far the run has come, and so how wide the next window is.
        """
        position = position or Position()
        while True:
            shift, epoch, offset = self._shift(position.epoch), position.epoch, position.offset
            while offset < self._length:
                run = progress()
                end = offset + self._window(run, epoch, offset)
                after = Position(epoch, end) if end < self._length else Position(epoch + 1, 0)
                batch = self._batch(shift, epoch, offset, end)
                yield self._rated(batch, self.windows.at(run)), after
                offset = end
            position = Position(epoch + 1, 0)

    def _window(self, progress: float, epoch: int, offset: int) -> int:
        """Give the steps of the window that begins at a place: a function of the place alone."""
        if not self.windows.random:
            return self.windows.at(progress)
        generator = np.random.default_rng([self._seed, epoch, offset, WINDOW])
        return self.windows.drawn(progress, generator)

    def _rated(self, batch: Batch, planned: int) -> Batch:
        """Let a window at random be worth a step that is as large as it is long.

        Else short windows, sampled as often, would count for more (Merity et al. 2018).
        """
        if not self.windows.random:
            return batch
        return replace(batch, rate_factor=batch.inputs.shape[1] / planned)

    def _shift(self, epoch: int) -> int:
        if epoch == 0:
            return 0
        return int(epoch_generator(self._seed, epoch).integers(self.num_targets))

    def _batch(self, shift: int, epoch: int, offset: int, end: int) -> Batch:
        steps = np.arange(offset, min(end, self._length))
        places = self._edges[:-1, None] + steps  # (B, T)
        real = places < self._edges[1:, None]
        places = (places + shift) % self.num_targets
        inputs = self._read(places)
        resets = self._resets(places) if self._reset else None
        if self._restarts is not None:
            resets = self._restart(inputs, resets, epoch, offset)
        return Batch(
            inputs=inputs,
            targets=self._read(places + 1),
            mask=None if real.all() else real,
            fresh=offset == 0,
            resets=resets,
        )

    def _read(self, places: np.ndarray) -> np.ndarray:
        """Read what stands at places (B, T); ids come as integers that PyTorch looks up by."""
        found: np.ndarray = self._ids[places]
        return found if found.dtype.kind == "f" else found.astype(np.int64)

    def _restart(
        self, inputs: np.ndarray, resets: np.ndarray | None, epoch: int, offset: int
    ) -> np.ndarray | None:
        """Let some streams begin the window anew; changes `inputs`, gives the resets."""
        restarts = self._restarts
        assert restarts is not None
        drawn = np.random.default_rng([self._seed, epoch, offset]).random(len(inputs))
        anew = restarts.after[inputs[:, 0]] & (drawn < restarts.chance(inputs.shape[1]))
        if not anew.any():
            return resets
        inputs[anew, 0] = restarts.boundary_id
        resets = np.zeros(inputs.shape, dtype=bool) if resets is None else resets
        resets[anew, 0] = True
        return resets

    def _resets(self, places: np.ndarray) -> np.ndarray:
        found = np.searchsorted(self._starts_document, places)
        found = np.minimum(found, len(self._starts_document) - 1)
        return np.asarray(self._starts_document[found] == places)
