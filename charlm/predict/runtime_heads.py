"""The heads of `charlm.predict.runtime`: from outputs to predictions, in NumPy.

Legend: S streams, E size of a word's row, H size of the outputs, K softmaxes, V vocabulary.
"""

from collections.abc import Callable, Mapping

import numpy as np

from charlm.model.rows import Int8Rows, Weight, one_below, plain
from charlm.model.shape import NetworkConfig
from charlm.predict.clustered import ClusteredPrediction
from charlm.predict.drawing import Only, draw_simply, largest, only
from charlm.predict.kept import kept
from charlm.predict.mixed import softmax
from charlm.predict.predictor import DensePrediction, LazyPrediction, Prediction, Rules
from charlm.predict.products import times

CHUNK_NUMBERS = 1 << 20  # logits of a mixture held at a time

# weights of a softmax in levels that is small: all its words are laid out when one is asked for
SMALL = 1 << 18

FEW, FEW_BYTES = 1, 3  # streams that compiled functions read faster one by one

Logits = Callable[[np.ndarray], np.ndarray]
Draw = Callable[[np.ndarray, Only, np.ndarray], np.ndarray]
OfLogits = Callable[[np.ndarray], np.ndarray]


class SoftmaxPrediction(LazyPrediction):
    """A prediction by logits (S, V): made when first asked for, normalised where that is needed."""

    def __init__(self, head: "Head", outputs: np.ndarray) -> None:
        self._head, self._outputs = head, outputs
        self._logits: np.ndarray | None = None

    @property
    def logits(self) -> np.ndarray:
        """Log p of every id, (S, V), up to a number for each stream."""
        if self._logits is None:
            self._logits = self._head.logits(self._outputs)
        return self._logits

    @kept
    def _totals(self) -> np.ndarray:
        return self._head.log_totals(self.logits)  # (S, 1)

    @kept
    def probs(self) -> np.ndarray:
        """P of every id, (S, V)."""
        return self._head.softmax(self.logits)

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Give log p of one id for each stream, (S,)."""
        own: np.ndarray = self.logits[np.arange(len(self.logits)), ids]
        return np.asarray(own - self._totals[:, 0])

    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Give the k most probable ids and their log p, both (S, k), most probable first."""
        ids, values = largest(self.logits, k)
        return ids, values - self._totals

    def draw(self, rules: Rules, noise: np.ndarray) -> np.ndarray:
        """Choose one id for each stream; by a temperature and a top-k alone without normalising."""
        alone = only(rules)
        if alone is None:
            return super().draw(rules, noise)
        return self._head.draw(self.logits, alone, noise)

    def _make(self) -> np.ndarray:
        return np.asarray(self.logits - self._totals)


class Head:
    """A linear layer and a softmax.

    size: how many weights it has
    softmax, log_totals, draw: make p of logits (S, V), the log of what they add up to, (S, 1), and
          a choice
    """

    def __init__(self, weight: Weight, bias: np.ndarray) -> None:
        # laid out by columns: a row of inputs is then multiplied fastest, and many no slower
        self._weight = np.ascontiguousarray(plain(weight).T)  # (E, V)
        self._stored, self._bias = weight, bias
        self._compiled: Logits | None = None
        self.draw: Draw = draw_simply
        self.softmax: OfLogits = softmax
        self.log_totals: OfLogits = log_sum_exp
        self.vocab_size, self.size = len(bias), weight.shape[0] * weight.shape[1]

    def compile(self) -> None:
        """Let streams be multiplied, and drawn from, by compiled functions."""
        from charlm.predict.runtime_compiled import (
            CompiledRows,
            draw_compiled,
            log_totals_compiled,
            softmax_compiled,
        )

        self._compiled = CompiledRows(self._stored, self._bias, few(self._stored))
        self.draw, self.softmax = draw_compiled, softmax_compiled
        self.log_totals = log_totals_compiled
        self._weight = self._weight[:, :0]  # it is not needed any more

    def logits(self, outputs: np.ndarray) -> np.ndarray:
        """Give log p of every id but for a constant: (S, E) -> (S, V)."""
        weight = self._weight  # before it is asked for: another thread may compile meanwhile
        if self._compiled is not None:
            return self._compiled(outputs)
        logits = times(outputs, weight)
        logits += self._bias
        return logits

    def log_probs(self, outputs: np.ndarray) -> np.ndarray:
        """Give log p of every id: (S, E) -> (S, V)."""
        logits = self.logits(outputs)
        logits -= self.log_totals(logits)
        return logits

    def prediction(self, outputs: np.ndarray) -> Prediction:
        """Predict from outputs (S, E)."""
        return SoftmaxPrediction(self, outputs)

    def shares(self, outputs: np.ndarray) -> np.ndarray:
        """Give p of every id: (S, E) -> (S, V)."""
        return self.softmax(self.logits(outputs))


class AdaptiveHead:
    """A softmax in two levels: of a shortlist's words and clusters, and of each cluster's words."""

    def __init__(self, first: Head, inner: list[Head], bounds: list[tuple[int, int]]) -> None:
        self._first, self._inner, self._bounds = first, inner, bounds
        self._small = sum(head.size for head in (first, *inner)) <= SMALL

    def compile(self) -> None:
        """Compile what its heads can."""
        for head in (self._first, *self._inner):
            head.compile()

    def prediction(self, outputs: np.ndarray) -> Prediction:
        """Predict from outputs (S, E)."""

        def inside(number: int, rows: np.ndarray) -> np.ndarray:
            return self._inner[number].log_probs(outputs[rows])

        return ClusteredPrediction(
            lambda: self._first.log_probs(outputs),
            self._bounds,
            inside,
            lambda: self._shares(outputs),
            self._small,
        )

    def _shares(self, outputs: np.ndarray) -> np.ndarray:
        """Give p of every id: (S, E) -> (S, V)."""
        first = self._first.shares(outputs)
        shortlist, size = self._bounds[0][0], self._bounds[-1][1]
        result = np.empty((len(outputs), size), dtype=np.float32)
        result[:, :shortlist] = first[:, :shortlist]
        for number, (start, end) in enumerate(self._bounds):
            of_cluster = first[:, shortlist + number, None]
            np.multiply(self._inner[number].shares(outputs), of_cluster, out=result[:, start:end])
        return result


class MixtureHead:
    """Softmaxes over the same rows, mixed: `charlm.model.softmaxes`."""

    def __init__(self, head: Head, weights: Mapping[str, Weight]) -> None:
        self._head = head
        latents, priors = plain(weights["head.latent_weight"]), plain(weights["head.prior_weight"])
        self._latent_weight = np.ascontiguousarray(latents.T)  # (H, K·E)
        self._latent_bias = plain(weights["head.latent_bias"])
        self._prior_weight = np.ascontiguousarray(priors.T)  # (H, K)

    def compile(self) -> None:
        """Compile what its head can."""
        self._head.compile()

    def prediction(self, outputs: np.ndarray) -> Prediction:
        """Predict from outputs (S, H)."""
        numbers = self._prior_weight.shape[1] * self._head.vocab_size
        size = max(1, CHUNK_NUMBERS // numbers)
        parts = [outputs[start : start + size] for start in range(0, len(outputs), size)]
        return DensePrediction(np.concatenate([self._log_probs(part) for part in parts]))

    def _log_probs(self, outputs: np.ndarray) -> np.ndarray:
        """Give log p of every id, the log of the sum of pi_k p_k: (n, H) -> (n, V)."""
        latents = np.tanh(outputs @ self._latent_weight + self._latent_bias)
        priors = outputs @ self._prior_weight  # (n, K)
        log_shares = priors - log_sum_exp(priors)
        logs = self._head.log_probs(latents.reshape(log_shares.size, -1))
        logs = logs.reshape(*log_shares.shape, -1) + log_shares[..., None]  # (n, K, V)
        most = logs.max(axis=1, keepdims=True)
        mixed: np.ndarray = np.log(np.exp(logs - most).sum(axis=1)) + most[:, 0]
        return mixed


def head_of(
    config: NetworkConfig, weights: Mapping[str, Weight]
) -> Head | AdaptiveHead | MixtureHead:
    """Give the head of a network, by its weights."""
    weight = weights["embedding" if config.tie_weights else "head.weight"]
    bias = plain(weights["head.bias"])
    if config.mixtures > 1:
        return MixtureHead(Head(weight, bias), weights)
    if not config.cutoffs:
        return Head(weight, bias)
    shortlist = config.cutoffs[0]
    first = Head(
        one_below(weight[:shortlist], weights["head.cluster_weight"]),
        np.concatenate([bias[:shortlist], plain(weights["head.cluster_bias"])]),
    )
    inner = [Head(weight[start:end], bias[start:end]) for start, end in config.clusters]
    return AdaptiveHead(first, inner, config.clusters)


def few(weight: Weight) -> int:
    """Give how many streams compiled functions read best, by how weights are stored."""
    return FEW_BYTES if isinstance(weight, Int8Rows) else FEW


def log_sum_exp(logits: np.ndarray) -> np.ndarray:
    """Give the log of the sum of e^logits over the last axis, which is kept with length 1."""
    most = logits.max(axis=-1, keepdims=True)
    shifted = logits - most
    np.exp(shifted, out=shifted)
    total: np.ndarray = np.log(shifted.sum(axis=-1, keepdims=True)) + most
    return total
