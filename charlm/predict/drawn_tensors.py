"""Drawing on a device, by rules that tell what they do.

What to change of which ids is sent there with the noise, at once; by which numbers to cut, which
may be others in each row, is sent once and kept. Rows without a rule have a number by which it does
nothing. The cuts are those of `charlm.generation.sampling`, in the same order.
Legend: S streams, V vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from charlm.predict.changes import Change, Cuts, Description, changed
from charlm.predict.drawing import COLDEST

NEVER = -math.inf
KEPT = 64  # cuts that are kept on devices
WORD = 8  # bytes, at whose multiples an array begins that is sent among others
TYPES = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.int64: np.int64,
    torch.bool: np.bool_,
}
TENSOR_TYPES = {kind: name for name, kind in TYPES.items()}


@dataclass(frozen=True, eq=False)
class _Limits:
    """By what a device cuts, (S, 1) each; None where it changes no row.

    greedy: where the most probable is taken, (S,); these rows are cut by nothing
    everywhere_greedy: whether all are
    ranks:  how many of the most probable a top-k or a top-p may have to look at
    log_min_p, log_eta: logarithms of min_p and eta_cutoff
    """

    everywhere_greedy: bool = False
    greedy: Tensor | None = None
    temperature: Tensor | None = None
    ranks: int = 0
    top_k: Tensor | None = None
    top_p: Tensor | None = None
    log_min_p: Tensor | None = None
    typical_p: Tensor | None = None
    log_eta: Tensor | None = None


def drawn(logs: Tensor, description: Description, noise: np.ndarray) -> Tensor:
    """Draw an id for each stream from log p (S, V), as described; noise (S,) -> (S,)."""
    narrow, wide = logs.dtype, widest(logs)
    limits = _limits(description.cuts, logs.shape[1], narrow, wide, logs.device)
    below = 1 - np.finfo(TYPES[wide]).eps  # so that noise · sum is below the sum
    arrays: list[np.ndarray] = [np.minimum(noise, below).astype(TYPES[wide])]
    for _, rows, ids, numbers in description.changes:
        arrays += [rows.astype(np.int64), ids.astype(np.int64), numbers.astype(TYPES[narrow])]
    aims, *there = sent(arrays, logs.device)
    if description.changes:
        hows = (each.how for each in description.changes)
        logs = changed(logs.clone(), map(Change, hows, there[::3], there[1::3], there[2::3]), torch)
    if limits.everywhere_greedy:
        return logs.argmax(dim=1)
    ids = _aimed(_cut(logs, limits, wide), aims, wide)
    return ids if limits.greedy is None else logs.argmax(dim=1).where(limits.greedy, ids)


@lru_cache(maxsize=KEPT)
def _limits(
    cuts: Cuts, size: int, narrow: torch.dtype, wide: torch.dtype, device: torch.device
) -> _Limits:
    """Send to a device by what to cut V = `size` ids, whose log p is of a narrow type.

    A row without a rule has a number that does nothing: to cut by a share of 1 might drop what a
    rounding takes for more than all.
    """
    greedy = (cuts.temperature < COLDEST) | (cuts.top_k == 1)
    if greedy.all():
        return _Limits(everywhere_greedy=True)
    top_k = np.where((cuts.top_k == 0) | (cuts.top_k > size), size, cuts.top_k)
    top_p, typical_p = (np.where(p >= 1, np.inf, p) for p in (cuts.top_p, cuts.typical_p))
    ranked = ~greedy & ((top_k < size) | (top_p < np.inf))
    with np.errstate(divide="ignore"):
        log_min_p, log_eta = np.log(cuts.min_p), np.log(cuts.eta_cutoff)
    numbers = {  # and those that do nothing
        "temperature": (cuts.temperature, 1, narrow),
        "top_k": (top_k, size, torch.int64),
        "top_p": (top_p, np.inf, wide),
        "log_min_p": (log_min_p, NEVER, wide),
        "typical_p": (typical_p, np.inf, wide),
        "log_eta": (log_eta, NEVER, wide),
    }
    arrays = {"greedy": greedy} if greedy.any() else {}
    for name, (values, nothing, kind) in numbers.items():
        own = np.where(greedy, nothing, values)[:, None]
        if (own != nothing).any():
            arrays[name] = own.astype(TYPES[kind])
    there: dict[str, Any] = dict(zip(arrays, sent([*arrays.values()], device), strict=True))
    return _Limits(ranks=int(top_k[ranked].max(initial=0)), **there)


def sent(arrays: Sequence[np.ndarray], device: torch.device) -> list[Tensor]:
    """Give arrays as tensors on a device, in one transfer, which CUDA does not wait for."""
    starts = [0]
    for array in arrays:
        starts.append(starts[-1] + -(-array.nbytes // WORD) * WORD)
    here = np.empty(starts[-1] + WORD, np.uint8)  # never none at all: that has no other type
    for array, start in zip(arrays, starts, strict=False):
        here[start : start + array.nbytes] = np.ascontiguousarray(array).ravel().view(np.uint8)
    memory = torch.from_numpy(here)
    if device.type == "cuda":  # only memory that stays where it is can be fetched meanwhile
        there = memory.pin_memory().to(device, non_blocking=True)
    else:
        there = memory.to(device)
    found = []
    for array, start in zip(arrays, starts, strict=False):
        own = there[start : start + array.nbytes].view(TENSOR_TYPES[array.dtype.type])
        found.append(own.view(array.shape))
    return found


def _cut(logs: Tensor, limits: _Limits, wide: torch.dtype) -> Tensor:
    """Give log p (S, V), unnormalised, with -inf for what is not drawn."""
    if limits.temperature is not None:
        logs = logs / limits.temperature
    if limits.ranks:
        logs = logs.where(_are_largest(logs, limits, wide), NEVER)
    if limits.log_min_p is not None:
        logs = logs.where(logs >= logs.amax(dim=1, keepdim=True) + limits.log_min_p, NEVER)
    if limits.typical_p is not None:
        logs = logs.where(_are_typical(logs.to(wide), limits.typical_p), NEVER)
    if limits.log_eta is not None:
        logs = logs.where(_are_above_eta(logs.to(wide), limits.log_eta), NEVER)
    return logs


def _are_largest(logs: Tensor, limits: _Limits, wide: torch.dtype) -> Tensor:
    """Tell what a top-k and a top-p keep, (S, V); of equals, the first."""
    size, ranks = logs.shape[1], limits.ranks
    if ranks < size:
        ordered = logs.topk(ranks, dim=1).values  # (S, ranks)
    else:
        ordered = logs.sort(dim=1, descending=True).values
    counts = torch.full_like(logs[:, :1], size, dtype=torch.int64)
    counts = counts if limits.top_k is None else limits.top_k
    if limits.top_p is not None:
        places = torch.arange(ranks, device=logs.device)
        shares = (ordered - ordered[:, :1]).where(places < counts, NEVER).to(wide).exp()
        shares = shares / shares.sum(dim=1, keepdim=True)
        few = (shares.cumsum(dim=1) - shares < limits.top_p).sum(dim=1, keepdim=True)
        counts = torch.minimum(counts, few.where(limits.top_p.isfinite(), size))
    least = ordered.gather(1, (counts - 1).clamp(max=ranks - 1))
    least = least.where(counts < size, NEVER)
    above, equal = logs > least, logs == least
    room = counts - above.sum(dim=1, keepdim=True)
    return above | (equal & (equal.cumsum(dim=1) <= room))


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
    """Give log p and p of all ids, (S, V), and the entropy, (S, 1) nats."""
    logs = logs.log_softmax(dim=1)
    shares = logs.exp()
    return logs, shares, -(shares * logs.where(shares > 0, 0)).sum(dim=1, keepdim=True)


def _aimed(logs: Tensor, noise: Tensor, wide: torch.dtype) -> Tensor:
    """Give the id of each stream at which the cumulated weights pass noise · sum, (S,).

    A device adds up in another order for each sum, and of equal sums one may be less than the one
    before: only an id that has a weight is ever chosen. Noise is (S,), and somewhat below 1.
    """
    weights = (logs - logs.amax(dim=1, keepdim=True)).exp()
    sums = weights.cumsum(dim=1, dtype=wide).where(weights > 0, 0)
    aims = noise[:, None] * sums.amax(dim=1, keepdim=True)
    return (sums > aims).int().argmax(dim=1)  # the first


def widest(values: Tensor) -> torch.dtype:
    """Give the type to sum in; Apple's processors have no float64."""
    return torch.float32 if values.device.type == "mps" else torch.float64
