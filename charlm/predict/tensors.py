"""A prediction that stays where the torch network lives: what is asked goes out, and no more.

Legend: S streams, V vocabulary.
"""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from charlm.predict.drawing import COLDEST, Only, draw, only
from charlm.predict.predictor import Rules


class TensorPrediction:
    """Log-probabilities on a device, (S, V).

    By rules that are a temperature and a top-k alone an id is drawn on the device, the same that
    `charlm.predict.drawing` draws but for roundings; its log p comes with it, in one transfer. By
    other rules all log-probabilities come here first.
    """

    def __init__(self, log_probs: Tensor) -> None:
        self._logs = log_probs
        self._drawn: tuple[np.ndarray, np.ndarray] | None = None  # ids and their log p

    @cached_property
    def _array(self) -> np.ndarray:
        return np.asarray(self._logs.cpu().numpy())

    def log_probs(self) -> np.ndarray:
        """Give log p of every id, (S, V)."""
        return self._array

    @torch.inference_mode()
    def of(self, ids: np.ndarray) -> np.ndarray:
        """Give log p of one id for each stream, (S,)."""
        ids = np.asarray(ids)
        if self._drawn is not None and np.array_equal(self._drawn[0], ids):
            return self._drawn[1]
        index = torch.from_numpy(ids.astype(np.int64)).to(self._logs.device)
        return np.asarray(self._logs.gather(1, index[:, None])[:, 0].cpu().numpy())

    @torch.inference_mode()
    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Give the k most probable ids and their log p, both (S, k), most probable first."""
        values, ids = self._logs.topk(min(k, self._logs.shape[1]), dim=1)
        return ids.cpu().numpy(), values.cpu().numpy()

    @torch.inference_mode()
    def draw(self, rules: Rules, noise: np.ndarray) -> np.ndarray:
        """Choose one id for each stream."""
        alone = only(rules)
        if alone is None:
            return draw(self.log_probs(), rules, noise)
        ids = drawn_on_device(self._logs, alone, noise)
        values = self._logs.gather(1, ids[:, None])
        both = torch.cat([ids[:, None].to(_widest(values)), values], dim=1).cpu().numpy()
        self._drawn = both[:, 0].astype(np.int64), both[:, 1].astype(np.float32)
        return self._drawn[0]


def drawn_on_device(logs: Tensor, alone: Only, noise: np.ndarray) -> Tensor:
    """Draw an id for each stream from log p (S, V) by a temperature and a top-k, (S,)."""
    temperature, k = alone
    if temperature < COLDEST or k == 1:
        return logs.argmax(dim=1)
    weights = ((logs - logs.amax(dim=1, keepdim=True)) / temperature).exp()
    if 0 < k < logs.shape[1]:
        best = logs.argsort(dim=1, descending=True, stable=True)[:, :k]  # of equals, the first
        weights = torch.zeros_like(weights).scatter(1, best, weights.gather(1, best))
    cumulated = weights.to(_widest(weights)).cumsum(dim=1)
    totals = cumulated[:, -1]
    aims = torch.from_numpy(noise).to(totals) * totals
    aims = torch.minimum(aims, torch.nextafter(totals, torch.zeros_like(totals)))
    return torch.searchsorted(cumulated, aims[:, None], right=True)[:, 0]


def _widest(values: Tensor) -> torch.dtype:
    """Give the type to sum in; Apple's processors have no float64."""
    return torch.float32 if values.device.type == "mps" else torch.float64
