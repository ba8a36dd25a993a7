"""Sampling rules: each turns log-probabilities into what is drawn from.

S streams, V vocabulary. Those that change a few ids are told as data by
`charlm.generation.penalties`. The others are here: each takes (S, V) and gives (S, V); -inf means
never. To add one, write its function, put it into `apply_rules` with its option, and its twin for a
device into `charlm.predict.drawn_tensors`.
"""

from collections.abc import Sequence

import numpy as np

from charlm.generation.options import SamplingOptions
from charlm.generation.penalties import changes_of
from charlm.predict.changes import Change, changed
from charlm.predict.drawing import COLDEST, are_largest, down_to

NEVER = -np.inf


def apply_rules(
    log_probs: np.ndarray,
    options: SamplingOptions,
    history: np.ndarray | None = None,
    written: np.ndarray | None = None,
) -> np.ndarray:
    """Apply all rules in the order that Hugging Face applies them; arguments as in `changes_of`."""
    if options.logit_bias or history is not None:
        slots = changes_of(options, np.arange(len(log_probs)), history, written)
        log_probs = _rewritten(log_probs, [each for each in slots if each is not None])
    if options.temperature < COLDEST:
        return keep_top_k(log_probs, 1)
    if options.temperature != 1.0:
        log_probs = log_probs / options.temperature
    if options.top_k:
        log_probs = keep_top_k(log_probs, options.top_k)
    if options.top_p < 1.0:
        log_probs = keep_top_p(log_probs, options.top_p)
    if options.min_p > 0.0:
        log_probs = keep_min_p(log_probs, options.min_p)
    if options.typical_p < 1.0:
        log_probs = keep_typical(log_probs, options.typical_p)
    if options.eta_cutoff > 0.0:
        log_probs = keep_above_eta(log_probs, options.eta_cutoff)
    return log_probs


def _rewritten(log_probs: np.ndarray, changes: Sequence[Change]) -> np.ndarray:
    """Give log p (S, V) with some changed; what is given stays as it is."""
    if not changes:
        return log_probs
    kind = log_probs.dtype
    own = (Change(how, rows, ids, n.astype(kind)) for how, rows, ids, n in changes)
    return np.asarray(changed(log_probs.copy(), own))


def keep_top_k(log_probs: np.ndarray, k: int) -> np.ndarray:
    """Keep the k most probable ids of each stream (Fan et al. 2018); of equals, the first."""
    if k >= log_probs.shape[1]:
        return log_probs
    if k > 1:
        return np.where(are_largest(log_probs, k), log_probs, np.array(NEVER, log_probs.dtype))
    kept, best = np.full_like(log_probs, NEVER), _best(log_probs)
    np.put_along_axis(kept, best, np.take_along_axis(log_probs, best, axis=1), axis=1)
    return kept


def keep_top_p(log_probs: np.ndarray, p: float) -> np.ndarray:
    """Keep the fewest ids whose probabilities add up to p (nucleus, Holtzman et al. 2020).

    To sort numbers alone takes a tenth of the time that it takes to sort ids by them.
    """
    ordered = -np.sort(-log_probs, axis=1)
    shares = np.exp(ordered - ordered[:, :1], dtype=np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    counts = (np.cumsum(shares, axis=1) - shares < p).sum(axis=1)
    least = np.take_along_axis(ordered, counts[:, None] - 1, axis=1)
    chosen = down_to(log_probs, least, counts)
    return np.where(chosen, log_probs, np.array(NEVER, log_probs.dtype))


def keep_min_p(log_probs: np.ndarray, p: float) -> np.ndarray:
    """Keep ids at least p times as probable as the most probable one (Nguyen et al. 2024)."""
    limit = log_probs.max(axis=1, keepdims=True) + np.log(p)
    return np.where(log_probs >= limit, log_probs, np.array(NEVER, dtype=log_probs.dtype))


def keep_typical(log_probs: np.ndarray, p: float) -> np.ndarray:
    """Keep the fewest ids that make up p of those whose surprise is nearest to the expected one.

    Locally typical sampling, Meister et al. 2023 (arXiv 2202.00666), equation 9.
    """
    logs, shares, expected = _normalised(log_probs)
    order = np.argsort(np.abs(-logs - expected), axis=1, kind="stable")
    ordered = np.take_along_axis(shares, order, axis=1)
    before = np.cumsum(ordered, axis=1) - ordered
    own = np.take_along_axis(log_probs, order, axis=1)
    kept = np.empty_like(log_probs)
    chosen = np.where(before < p, own, np.array(NEVER, dtype=log_probs.dtype))
    np.put_along_axis(kept, order, chosen, axis=1)
    return kept


def keep_above_eta(log_probs: np.ndarray, epsilon: float) -> np.ndarray:
    """Keep ids at least as probable as eta = min(epsilon, sqrt(epsilon) e^-entropy); and the best.

    Eta sampling, Hewitt et al. 2022 (arXiv 2210.15191), equation 5.
    """
    logs, _, entropy = _normalised(log_probs)
    eta = np.minimum(np.log(epsilon), np.log(epsilon) / 2 - entropy)
    kept = (logs >= eta) | (logs >= logs.max(axis=1, keepdims=True))
    return np.where(kept, log_probs, np.array(NEVER, dtype=log_probs.dtype))


def _normalised(log_probs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give log p and p of all ids, (S, V) float64, and the entropy, (S, 1) nats."""
    logs = log_probs.astype(np.float64)
    logs -= logs.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    shares = np.exp(logs)
    entropy = -(shares * np.where(shares > 0, logs, 0.0)).sum(axis=1, keepdims=True)
    return logs, shares, entropy


def _best(log_probs: np.ndarray) -> np.ndarray:
    return np.asarray(log_probs.argmax(axis=1))[:, None]
