"""A prediction that stays where the torch network lives: what is asked goes out, and no more.

Legend: S streams, V vocabulary.
"""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from charlm.predict.drawing import COLDEST, Cuts, cuts, draw
from charlm.predict.predictor import Rules


class TensorPrediction:
    """Log-probabilities on a device, (S, V).

    By rules that are a temperature, top-k, top-p and min-p alone an id is drawn on the device, the
    same that is drawn here but for roundings; its log p comes with it, in one transfer. By other
    rules, which look back or go by surprise, all log-probabilities come here first.
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
        known = cuts(rules)
        if known is None:
            return draw(self.log_probs(), rules, noise)
        ids = drawn_on_device(self._logs, known, noise)
        values = self._logs.gather(1, ids[:, None])
        both = torch.cat([ids[:, None].to(_widest(values)), values], dim=1).cpu().numpy()
        self._drawn = both[:, 0].astype(np.int64), both[:, 1].astype(np.float32)
        return self._drawn[0]


def drawn_on_device(logs: Tensor, known: Cuts, noise: np.ndarray) -> Tensor:
    """Draw an id for each stream from log p (S, V) by a temperature and cuts, (S,)."""
    if known.temperature < COLDEST or known.top_k == 1:
        return logs.argmax(dim=1)
    weights = ((logs - logs.amax(dim=1, keepdim=True)) / known.temperature).exp()
    weights = _cut(weights.to(_widest(weights)), known)
    cumulated = weights.cumsum(dim=1)
    totals = cumulated[:, -1]
    aims = torch.from_numpy(noise).to(totals) * totals
    aims = torch.minimum(aims, torch.nextafter(totals, torch.zeros_like(totals)))
    return torch.searchsorted(cumulated, aims[:, None], right=True)[:, 0]


def _cut(weights: Tensor, known: Cuts) -> Tensor:
    """Set to 0 what is cut from weights (S, V) whose largest is 1, as `charlm.generation` does."""
    some = 0 < known.top_k < weights.shape[1]
    if some or known.top_p < 1:
        order = weights.argsort(dim=1, descending=True, stable=True)  # of equals, the first
        ordered = weights.gather(1, order)
        if some:
            ordered[:, known.top_k :] = 0
        if known.top_p < 1:
            shares = ordered / ordered.sum(dim=1, keepdim=True)
            ordered = ordered.where(shares.cumsum(dim=1) - shares < known.top_p, 0)
        weights = torch.zeros_like(weights).scatter(1, order, ordered)
    return weights.where(weights >= known.min_p, 0) if known.min_p > 0 else weights


def _widest(values: Tensor) -> torch.dtype:
    """Give the type to sum in; Apple's processors have no float64."""
    return torch.float32 if values.device.type == "mps" else torch.float64
