"""A prediction that stays where the torch network lives: what is asked goes out, and no more.

Legend: S streams, V vocabulary.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from charlm.predict.changes import Change, changed, described
from charlm.predict.drawing import draw
from charlm.predict.drawn_tensors import drawn, sent, widest
from charlm.predict.kept import kept
from charlm.predict.predictor import Rules


class TensorPrediction:
    """Log-probabilities on a device, (S, V).

    By rules that tell what they do, as all of `charlm.generation` do, an id is drawn on the device,
    the same that is drawn here but for roundings; its log p comes with it, in one transfer. For
    others all log-probabilities come here.
    """

    def __init__(self, log_probs: Tensor) -> None:
        self._logs = log_probs
        self._drawn: tuple[np.ndarray, np.ndarray] | None = None  # ids and their log p

    @kept
    def _array(self) -> np.ndarray:
        return np.asarray(self._logs.cpu().numpy())

    def log_probs(self) -> np.ndarray:
        """Give log p of every id, (S, V)."""
        return self._array

    @torch.inference_mode()
    def without(self, rows: Sequence[int], change: Change) -> "TensorPrediction":
        """Give what some streams predict if some of their ids may not come, to draw from."""
        arrays = [np.asarray(each, np.int64) for each in (rows, change.rows, change.ids)]
        index, own, ids = sent(arrays, self._logs.device)
        there = change._replace(rows=own, ids=ids)
        return TensorPrediction(changed(self._logs.index_select(0, index), [there], torch))

    @torch.inference_mode()
    def of(self, ids: np.ndarray) -> np.ndarray:
        """Give log p of one id for each stream, (S,)."""
        ids = np.asarray(ids, np.int64)
        if self._drawn is not None and (self._drawn[0] == ids).all():
            return self._drawn[1]
        (index,) = sent([ids], self._logs.device)
        return np.asarray(self._logs.gather(1, index[:, None])[:, 0].cpu().numpy())

    @torch.inference_mode()
    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Give the k most probable ids and their log p, both (S, k), most probable first."""
        values, ids = self._logs.topk(min(k, self._logs.shape[1]), dim=1)
        return _fetched(ids, values)

    @torch.inference_mode()
    def draw(self, rules: Rules, noise: np.ndarray) -> np.ndarray:
        """Choose one id for each stream."""
        known = described(rules)
        if known is None:
            return draw(self.log_probs(), rules, noise)
        ids = drawn(self._logs, known, noise)[:, None]
        found, values = _fetched(ids, self._logs.gather(1, ids))
        self._drawn = found[:, 0], values[:, 0]
        return self._drawn[0]


def _fetched(ids: Tensor, values: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Fetch ids and their log p, both (S, k), in one transfer; a device's type holds both."""
    both = torch.cat([ids.to(widest(values)), values.to(widest(values))], dim=1).cpu().numpy()
    k = ids.shape[1]
    return both[:, :k].astype(np.int64), both[:, k:].astype(np.float32)
