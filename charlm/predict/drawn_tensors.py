"""Drawing on a device, by rules that tell what they do.

What a device is sent are small arrays, all at once: what to change of which ids, and by which
numbers to cut, which may be others in each row. Rows without a rule have a number by which it does
nothing. The cuts are those of `charlm.generation.sampling`, in the same order.
Legend: S streams, V vocabulary.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from charlm.predict.changes import Change, Cuts, Description, changed
from charlm.predict.drawing import COLDEST

NEVER = -math.inf
WORD = 8  # bytes, at whose multiples an array begins that is sent among others
TYPES = {torch.float32: np.float32, torch.float64: np.float64}
TENSOR_TYPES = {
    np.float32: torch.float32,
    np.float64: torch.float64,
    np.int64: torch.int64,
    np.bool_: torch.bool,
}


class _Limits(NamedTuple):
    """The cuts as a device applies them, (S, 1) each.

    log_min_p, log_eta: logarithms of min_p and eta_cutoff
    """

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    log_min_p: Tensor
    typical_p: Tensor
    log_eta: Tensor


def drawn(logs: Tensor, description: Description, noise: np.ndarray) -> Tensor:
    """Draw an id for each stream from log p (S, V), as described; noise (S,) -> (S,)."""
    changes, cuts = description
    greedy = (cuts.temperature < COLDEST) | (cuts.top_k == 1)
    numbers = _neutral(cuts, greedy, logs.shape[1])
    changes, limits, best, aims = _on_device(logs, changes, numbers, greedy, noise)
    if changes:
        logs = changed(logs.clone(), changes, torch)
    if greedy.all():
        return logs.argmax(dim=1)
    ids = _aimed(_cut(logs, numbers, limits), aims)
    return logs.argmax(dim=1).where(best, ids) if greedy.any() else ids


def _neutral(cuts: Cuts, greedy: np.ndarray, size: int) -> Cuts:
    """Give numbers to cut by that do nothing where there is no such rule, or only the best counts.

    To cut by a share of 1 might drop what a rounding takes for more than all.
    """
    temperature, top_k, top_p, min_p, typical_p, eta_cutoff = cuts
    with np.errstate(divide="ignore"):
        return Cuts(
            np.where(greedy, 1.0, temperature),
            np.where(greedy | (top_k == 0) | (top_k > size), size, top_k).astype(np.int64),
            np.where(greedy | (top_p >= 1), np.inf, top_p),
            np.log(np.where(greedy, 0.0, min_p)),
            np.where(greedy | (typical_p >= 1), np.inf, typical_p),
            np.log(np.where(greedy, 0.0, eta_cutoff)),
        )


def _on_device(
    logs: Tensor, changes: Sequence[Change], numbers: Cuts, greedy: np.ndarray, noise: np.ndarray
) -> tuple[list[Change], _Limits, Tensor, Tensor]:
    """Send to where log p is what to change, what to cut by, which rows are greedy, and noise."""
    own, wide = TYPES[logs.dtype], TYPES[widest(logs)]
    arrays = [numbers.temperature.astype(own), numbers.top_k]
    arrays += [each.astype(wide) for each in (*numbers[2:], noise)]
    arrays += [greedy]
    fixed = len(arrays)
    for _, *places, values in changes:
        arrays += [*(each.astype(np.int64) for each in places), values.astype(own)]
    there = sent(arrays, logs.device)
    triples = zip(*(there[first::3] for first in range(fixed, fixed + 3)), strict=True)
    found = [Change(each.how, *three) for each, three in zip(changes, triples, strict=True)]
    *limits, aims, best = there[:fixed]
    return found, _Limits(*(each[:, None] for each in limits)), best, aims


def sent(arrays: Sequence[np.ndarray], device: torch.device) -> list[Tensor]:
    """Give arrays as tensors on a device, in one transfer, which CUDA does not wait for."""
    starts = np.cumsum([0, *(-(-each.nbytes // WORD) * WORD for each in arrays)]).tolist()
    here = np.zeros(starts[-1], np.uint8)
    for array, start in zip(arrays, starts, strict=False):
        here[start : start + array.nbytes] = np.ascontiguousarray(array).ravel().view(np.uint8)
    memory = torch.from_numpy(here)
    if device.type == "cuda":  # only memory that stays where it is can be fetched meanwhile
        there = memory.pin_memory().to(device, non_blocking=True)
    else:
        there = memory.to(device)
    found = []
    for array, start in zip(arrays, starts, strict=False):
        own = there[start : start + array.nbytes]
        found.append(own.view(TENSOR_TYPES[array.dtype.type]).view(array.shape))
    return found


def _cut(logs: Tensor, numbers: Cuts, limits: _Limits) -> Tensor:
    """Give log p (S, V), unnormalised, with -inf for what is not drawn.

    numbers: the limits again, here, by which it is seen what nobody asks for
    """
    if (numbers.temperature != 1).any():
        logs = logs / limits.temperature
    if (numbers.top_k < logs.shape[1]).any() or np.isfinite(numbers.top_p).any():
        logs = logs.where(_are_largest(logs, numbers, limits), NEVER)
    if np.isfinite(numbers.min_p).any():
        least = logs.amax(dim=1, keepdim=True) + limits.log_min_p
        logs = logs.where(logs >= least, NEVER)
    if np.isfinite(numbers.typical_p).any():
        logs = logs.where(_are_typical(logs, limits.typical_p), NEVER)
    if np.isfinite(numbers.eta_cutoff).any():
        logs = logs.where(_are_above_eta(logs, limits.log_eta), NEVER)
    return logs


def _are_largest(logs: Tensor, numbers: Cuts, limits: _Limits) -> Tensor:
    """Tell what a top-k and a top-p keep, (S, V); of equals, the first."""
    size = logs.shape[1]
    asked = (numbers.top_k < size) | np.isfinite(numbers.top_p)
    most = int(numbers.top_k[asked].max())  # that any of them looks at
    if most < size:
        ordered = logs.topk(most, dim=1).values  # (S, most)
    else:
        ordered = logs.sort(dim=1, descending=True).values
    counts = limits.top_k
    if np.isfinite(numbers.top_p).any():
        places = torch.arange(most, device=logs.device)
        shares = (ordered - ordered[:, :1]).where(places < counts, NEVER).to(widest(logs)).exp()
        shares = shares / shares.sum(dim=1, keepdim=True)
        few = (shares.cumsum(dim=1) - shares < limits.top_p).sum(dim=1, keepdim=True)
        counts = torch.minimum(counts, few.where(limits.top_p.isfinite(), size))
    least = ordered.gather(1, (counts - 1).clamp(max=most - 1))
    least = least.where(counts < size, NEVER)
    equal = logs == least
    room = counts - (logs > least).sum(dim=1, keepdim=True)
    return (logs > least) | (equal & (equal.cumsum(dim=1) <= room))


def _are_typical(logs: Tensor, typical_p: Tensor) -> Tensor:
    """Tell which are nearest to the expected surprise, up to a share of all, (S, V)."""
    logs, shares, entropy = _normalised(logs)
    order = (-logs - entropy).abs().argsort(dim=1, stable=True)
    ordered = shares.gather(1, order)
    kept = ordered.cumsum(dim=1) - ordered < typical_p
    return torch.zeros_like(kept).scatter(1, order, kept)


def _are_above_eta(logs: Tensor, log_eta: Tensor) -> Tensor:
    """Tell which are at least as probable as min(epsilon, sqrt(epsilon) e^-entropy), (S, V)."""
    logs, _, entropy = _normalised(logs)
    eta = torch.minimum(log_eta, log_eta / 2 - entropy)
    return (logs >= eta) | (logs >= logs.amax(dim=1, keepdim=True))


def _normalised(logs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give log p and p of all ids, (S, V) in the widest type, and the entropy, (S, 1) nats."""
    logs = logs.to(widest(logs)).log_softmax(dim=1)
    shares = logs.exp()
    return logs, shares, -(shares * logs.where(shares > 0, 0)).sum(dim=1, keepdim=True)


def _aimed(logs: Tensor, noise: Tensor) -> Tensor:
    """Give the id of each stream at which the cumulated weights pass noise · sum, (S,).

    A device adds up in another order for each sum, and of equal sums one may be less than the one
    before: only an id that has a weight is ever chosen.
    """
    weights = (logs - logs.amax(dim=1, keepdim=True)).exp()
    sums = weights.cumsum(dim=1, dtype=widest(logs)).where(weights > 0, 0)
    totals = sums.amax(dim=1)
    aims = torch.minimum(noise * totals, torch.nextafter(totals, torch.zeros_like(totals)))
    return (sums > aims[:, None]).int().argmax(dim=1)  # the first


def widest(values: Tensor) -> torch.dtype:
    """Give the type to sum in; Apple's processors have no float64."""
    return torch.float32 if values.device.type == "mps" else torch.float64
