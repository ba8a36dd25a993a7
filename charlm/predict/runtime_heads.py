"""The heads of `charlm.predict.runtime`: from outputs to predictions, in NumPy.

Legend: S streams, E size of a word's row, H size of the outputs, K softmaxes, V vocabulary.
"""

import numpy as np

from charlm.model.shape import NetworkConfig
from charlm.predict.clustered import ClusteredPrediction
from charlm.predict.predictor import DensePrediction, Prediction

CHUNK_NUMBERS = 1 << 20  # logits of a mixture held at a time


class Head:
    """A linear layer and a softmax."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        self._weight, self._bias = weight.T, bias
        self.vocab_size = len(bias)

    def log_probs(self, outputs: np.ndarray) -> np.ndarray:
        """Give log p of every id: (S, E) -> (S, V)."""
        return log_softmax(outputs @ self._weight + self._bias)

    def prediction(self, outputs: np.ndarray) -> Prediction:
        """Predict from outputs (S, E)."""
        return DensePrediction(self.log_probs(outputs))


class AdaptiveHead:
    """A softmax in two levels: of a shortlist's words and clusters, and of each cluster's words."""

    def __init__(self, first: Head, inner: list[Head], bounds: list[tuple[int, int]]) -> None:
        self._first, self._inner, self._bounds = first, inner, bounds

    def prediction(self, outputs: np.ndarray) -> Prediction:
        """Predict from outputs (S, E)."""

        def inside(number: int, rows: np.ndarray) -> np.ndarray:
            return self._inner[number].log_probs(outputs[rows])

        return ClusteredPrediction(self._first.log_probs(outputs), self._bounds, inside)


class MixtureHead:
    """Softmaxes over the same rows, mixed: `charlm.model.softmaxes`."""

    def __init__(self, head: Head, weights: dict[str, np.ndarray]) -> None:
        self._head = head
        self._latent_weight = weights["head.latent_weight"].T  # (H, K·E)
        self._latent_bias = weights["head.latent_bias"]
        self._prior_weight = weights["head.prior_weight"].T  # (H, K)

    def prediction(self, outputs: np.ndarray) -> Prediction:
        """Predict from outputs (S, H)."""
        numbers = self._prior_weight.shape[1] * self._head.vocab_size
        size = max(1, CHUNK_NUMBERS // numbers)
        parts = [outputs[start : start + size] for start in range(0, len(outputs), size)]
        return DensePrediction(np.concatenate([self._log_probs(part) for part in parts]))

    def _log_probs(self, outputs: np.ndarray) -> np.ndarray:
        """Give log p of every id, the log of the sum of pi_k p_k: (n, H) -> (n, V)."""
        latents = np.tanh(outputs @ self._latent_weight + self._latent_bias)
        log_shares = log_softmax(outputs @ self._prior_weight)  # (n, K)
        logs = self._head.log_probs(latents.reshape(log_shares.size, -1))
        logs = logs.reshape(*log_shares.shape, -1) + log_shares[..., None]  # (n, K, V)
        most = logs.max(axis=1, keepdims=True)
        mixed: np.ndarray = np.log(np.exp(logs - most).sum(axis=1)) + most[:, 0]
        return mixed


def head_of(
    config: NetworkConfig, weights: dict[str, np.ndarray]
) -> Head | AdaptiveHead | MixtureHead:
    """Give the head of a network, by its weights."""
    weight = weights["embedding" if config.tie_weights else "head.weight"]
    bias = weights["head.bias"]
    if config.mixtures > 1:
        return MixtureHead(Head(weight, bias), weights)
    if not config.cutoffs:
        return Head(weight, bias)
    shortlist = config.cutoffs[0]
    first = Head(
        np.concatenate([weight[:shortlist], weights["head.cluster_weight"]]),
        np.concatenate([bias[:shortlist], weights["head.cluster_bias"]]),
    )
    inner = [Head(weight[start:end], bias[start:end]) for start, end in config.clusters]
    return AdaptiveHead(first, inner, config.clusters)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Normalise over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    normal: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return normal
