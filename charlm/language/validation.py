"""The quick score that training steers by: held-out text in parallel, with a warm state.

Reading one token after the other is slow for a network that could read many streams at once. So
the text is cut into streams of equal length, and each but the first reads the `WARM_UP` tokens
before its part without being scored on them. The score a user is told is the exact one instead
(`charlm.evaluation`): one stream per document, each token once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from charlm.model.network import LanguageNetwork
from charlm.model.state import State, stack_states
from charlm.training.processes import rows_of
from charlm.training.task import Score

STREAMS = 32
WARM_UP = 64
WINDOW = 128
MIN_TOKENS, MAX_TOKENS = 10_000, 120_000  # of the held-out text are scored
MIN_TIMED_TOKENS = 1_000  # where the run has so many minutes,
TIMED_SHARE = 0.06  # and then this part of what is learned between two scores


def tokens_worth_scoring(learned: float, timed: bool = False) -> int:
    """Give how many tokens to score where `learned` are learned from between two scores.

    Scoring takes a third of learning's time or less. In a run of so many minutes it must be a small
    part of that: a fiftieth.
    """
    least, share = (MIN_TIMED_TOKENS, TIMED_SHARE) if timed else (MIN_TOKENS, 1.0)
    return int(max(least, min(MAX_TOKENS, share * learned)))


@dataclass(frozen=True)
class Validation:
    """Held-out ids, beginning with a boundary: prediction i is ids[i + 1] after ids[: i + 1].

    The first `max_tokens` predictions are scored, or all.
    """

    ids: np.ndarray
    max_tokens: int = MAX_TOKENS

    def nats_per_token(self, network: LanguageNetwork, device: torch.device) -> float:
        """Score the text, or its first `max_tokens`, in nats per token."""
        score = self.score(network, device)
        return score.nats / score.targets

    def score(
        self,
        network: LanguageNetwork,
        device: torch.device,
        rank: int = 0,
        size: int = 1,
        stop: Callable[[], bool] = lambda: False,
    ) -> Score:
        """Score the streams that process `rank` of `size` reads; give up where `stop` says so."""
        total = min(len(self.ids) - 1, self.max_tokens)
        streams = min(STREAMS, max(1, total // WINDOW))
        length = total // streams
        first, end = rows_of(rank, size, streams)
        if first == end:
            return Score(0.0, 0)
        starts = np.arange(first, end)[:, None] * length
        nats = 0.0
        with torch.inference_mode():
            state = self._warm_state(network, starts, device)
            for offset in range(0, length, WINDOW):
                if stop():
                    return Score(nats, len(starts) * offset, complete=False)
                positions = starts + np.arange(offset, min(offset + WINDOW, length))
                inputs, targets = self._read(positions, device), self._read(positions + 1, device)
                each, state = network.nats(inputs, targets, state)
                nats += float(each.cpu().sum(dtype=torch.float64))
        return Score(nats, len(starts) * length)

    def _warm_state(
        self, network: LanguageNetwork, starts: np.ndarray, device: torch.device
    ) -> State:
        """Let every stream read what stands before its part; the text's first starts anew."""
        anew = int(starts[0, 0] == 0)
        states = [network.initial_state(anew)]
        if len(starts) > anew:
            before = np.maximum(starts[anew:] + np.arange(-WARM_UP, 0), 0)
            states.append(
                network(self._read(before, device), network.initial_state(len(before)))[1]
            )
        return stack_states(states)

    def _read(self, positions: np.ndarray, device: torch.device) -> torch.Tensor:
        return torch.from_numpy(self.ids[positions].astype(np.int64)).to(device)
