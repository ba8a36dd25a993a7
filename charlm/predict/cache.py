"""A neural cache: words that came in like places of what was read just now come again.

    p(w | h) = (1 - share) p_network(w | h) + share p_cache(w | h)
    p_cache(w | h_t) ~ sum over i with x_(i + 1) = w of exp(flatness h_t . h_i)

over the last `size` places i that were read, h_i the network's output there and x_(i + 1) the id
that followed. Grave et al. 2017, "Improving Neural Language Models with a Continuous Cache" (arXiv
1612.04426). It costs no training, and memory for `size` outputs of each stream. A cache that holds
few places knows little: until FULL of them are there, a part of its share falls to the network.
Legend: S streams, N ids of each, E size of the outputs, V vocabulary, L places held.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from charlm.predict.cached import CachePrediction, Held, NumpyMixing, RaggedCachePrediction
from charlm.predict.mixed import softmax
from charlm.predict.places import NOTHING, Places, stack_places
from charlm.predict.predictor import (
    DensePrediction,
    Network,
    Prediction,
    State,
    checked_ids,
    compile_all,
    lanes_of,
)
from charlm.predict.products import likeness
from charlm.predict.ragged import RaggedPlaces, selected, stacked

SIZE = 2_000
FULL = 1_000  # places, or all where it holds fewer
TRIM = 256  # places read between two looks at which of the shared ones nobody sees any more
CHUNK = 8_192  # ids whose outputs are held at a time,
BLOCK = 512  # and that are compared with the places before them


@dataclass(frozen=True)
class CacheState:
    """A network's state, and the places read last.

    shared: the places of one stream that all of them read before these, held once: many streams
    that go on from one text, as samples and spellings do, cost little more than one
    """

    inner: State
    places: Places | RaggedPlaces
    shared: Places | None = None

    @property
    def keys(self) -> np.ndarray:
        """Give the outputs, (S, L, E)."""
        return self.places.keys

    @property
    def ids(self) -> np.ndarray:
        """Give the ids that followed, (S, L)."""
        return self.places.ids


class CachedPredictor:
    """A network with a cache.

    share: of the cache, from 0 to 1; flatness: from 0, all alike; places: of one stream, which the
    cache holds when it starts
    """

    def __init__(
        self,
        network: Network,
        share: float,
        flatness: float,
        size: int = SIZE,
        places: Places | None = None,
    ) -> None:
        assert 0 <= share <= 1 and size >= 1
        self._places = places
        self.network, self.vocab_size = network, network.vocab_size
        self.lanes = lanes_of(network)
        self.share, self.flatness, self.size = float(share), float(flatness), size
        self._mixing = NumpyMixing()

    def compile_all(self) -> None:
        """Compile what it reads and mixes by; nothing without numba."""
        compile_all(self.network)
        with contextlib.suppress(ImportError):
            from charlm.predict.cache_compiled import CompiledMixing

            self._mixing = CompiledMixing()

    def start(self, streams: int) -> CacheState:
        """Give the state of S streams that have read nothing but the boundary, or hold `places`."""
        inner = self.network.start(streams)
        width = self.network.outputs(inner).shape[1]
        keys = np.zeros((streams, 0, width), dtype=np.float32)
        nothing = Places(keys, np.zeros((streams, 0), dtype=np.int64))
        return CacheState(inner, nothing, self._places)

    def held(self, state: CacheState) -> Places:
        """Give all that each stream holds."""
        whole = self._whole(state)
        return Places(whole.keys, whole.ids)

    def prediction(self, state: CacheState) -> Prediction:
        """Predict what comes next, without reading."""
        return self._mixed(self.network.prediction(state.inner), state)

    def step(self, ids: np.ndarray, state: CacheState) -> tuple[Prediction, CacheState]:
        """Read one id in each stream, (S,); predict what comes after it."""
        key = self.network.outputs(state.inner)[:, None]
        prediction, inner = self.network.step(ids, state.inner)
        after = self._grown(inner, state, key, np.asarray(ids)[:, None])
        return self._mixed(prediction, after), after

    def score(self, ids: np.ndarray, state: CacheState) -> tuple[np.ndarray, CacheState]:
        """Read ids (S, N); give -log p of each where it stands, (S, N) float32 nats."""
        columns, state = self.score_columns(ids, state)
        with np.errstate(divide="ignore"):
            weights = np.log(np.array([1 - self.share, self.share], dtype=np.float32))
        return -np.logaddexp.reduce(weights - columns, axis=-1), state

    def read(self, ids: np.ndarray, state: CacheState) -> CacheState:
        """Read ids (S, N) without a look at what the cache says of them."""
        ids, state = checked_ids(ids, self.vocab_size), self._whole(state)
        for start in range(0, ids.shape[1], CHUNK):
            part = np.asarray(ids[:, start : start + CHUNK], dtype=np.int64)
            _, outputs, inner = self.network.score_with_outputs(part, state.inner)
            state = self._grown(inner, state, outputs, part)
        return self.settled(state)

    def score_columns(self, ids: np.ndarray, state: CacheState) -> tuple[np.ndarray, CacheState]:
        """Score by the network alone and by the cache alone, (S, N, 2).

        The cache's are infinite for ids that it does not hold, once it is full.
        """
        ids, state = checked_ids(ids, self.vocab_size), self._whole(state)
        pieces = [np.zeros((len(ids), 0, 2), dtype=np.float32)]
        for start in range(0, ids.shape[1], CHUNK):
            part = np.asarray(ids[:, start : start + CHUNK], dtype=np.int64)
            nats, outputs, inner = self.network.score_with_outputs(part, state.inner)
            cached = self.nats_by_cache(part, outputs, nats, state)
            pieces.append(np.stack([nats, cached], axis=-1))
            state = self._grown(inner, state, outputs, part)
        return np.concatenate(pieces, axis=1), self.settled(state)

    def settled(self, state: CacheState) -> CacheState:
        """Let others go on from here, where it is one stream: they share what it holds."""
        if len(state.ids) != 1:
            return state
        state = self._whole(state)
        nothing = Places(state.keys[:, :0], state.ids[:, :0])
        return CacheState(state.inner, nothing, Places(state.keys, state.ids))

    def select(self, state: CacheState, streams: Sequence[int] | np.ndarray) -> CacheState:
        """Take some streams of a state, in the order given."""
        index = np.asarray(streams, dtype=np.int64)
        inner = self.network.select(state.inner, index)
        if state.shared is None:
            return CacheState(inner, selected(state.places, index))
        return CacheState(inner, state.places.select(index), state.shared)

    def stack(self, states: Sequence[CacheState]) -> CacheState:
        """Put the streams of several states one after the other."""
        if len(states) == 1:
            return states[0]
        shared = states[0].shared
        if any(state.shared is not shared for state in states):
            states, shared = [self._whole(state) for state in states], None
        inner = self.network.stack([state.inner for state in states])
        if shared is None:
            return CacheState(inner, stacked([state.places for state in states]))
        places = stack_places([Places(state.keys, state.ids) for state in states])
        return CacheState(inner, places, shared)

    def _whole(self, state: CacheState) -> CacheState:
        """Give each stream all its places; of those that read less the beginning is NOTHING."""
        if state.shared is None:
            return state
        streams = len(state.ids)
        ids = np.concatenate([np.repeat(state.shared.ids, streams, axis=0), state.ids], axis=1)
        keys = np.concatenate([np.repeat(state.shared.keys, streams, axis=0), state.keys], axis=1)
        if (state.ids == NOTHING).any():
            order = np.argsort(ids != NOTHING, axis=1, kind="stable")
            ids = np.take_along_axis(ids, order, axis=1)
            keys = np.take_along_axis(keys, order[..., None], axis=1)
        return CacheState(state.inner, Places(keys[:, -self.size :], ids[:, -self.size :]))

    def _fullness(self, places: np.ndarray) -> np.ndarray:
        """Say how much of its share a cache is worth that holds so many places, from 0 to 1."""
        full: np.ndarray = np.minimum(places / min(FULL, self.size), 1.0).astype(np.float32)
        return full

    def _grown(
        self, inner: State, state: CacheState, keys: np.ndarray, ids: np.ndarray
    ) -> CacheState:
        """Add places and forget the oldest."""
        places = state.places.grown(keys, ids, self.size)
        if (shared := state.shared) is None:
            return CacheState(inner, places)
        held = places.ids.shape[1]
        if held % TRIM == 0 or held == self.size:
            fewest = int((places.ids != NOTHING).sum(axis=1).min())
            forgotten = shared.ids.shape[1] + fewest - self.size  # by every stream
            if forgotten >= shared.ids.shape[1]:
                shared = None
            elif forgotten > 0:
                shared = Places(shared.keys[:, forgotten:], shared.ids[:, forgotten:])
        return CacheState(inner, places, shared)

    def _mixed(self, prediction: Prediction, state: CacheState) -> Prediction:
        """Mix what the network says with what the cache does."""
        queries = self.network.outputs(state.inner)
        if isinstance(state.places, RaggedPlaces):
            share = self.share * self._fullness(state.places.lengths)[:, None]
            if not share.any():
                return prediction
            given = self._mixing.weigh_lists(state.places, queries, self.flatness, share)
            return RaggedCachePrediction(prediction, share, given, state.places, self._mixing)
        shared = None if state.shared is None else state.shared.grouped
        if shared is None or not len(shared.columns):  # of a text without any
            shared, of_shared = None, np.zeros((len(queries), 0), dtype=np.float32)
        else:
            of_shared = likeness(shared.keys, queries)
        own = np.matmul(state.keys, queries[:, :, None])[:, :, 0]  # (S, L)
        held = Held(own, state.ids, of_shared, shared)
        weights = self._mixing.weigh(held, self.flatness, self.size)
        if self.share == 0 or not weights.counts.any():
            return prediction
        share = self.share * self._fullness(weights.counts)[:, None]
        return CachePrediction(prediction, share, weights, held, self._mixing)

    def positions(self, ids: np.ndarray, state: CacheState) -> tuple[Prediction, CacheState]:
        """Give what is predicted at each of ids (1, n), as n streams, and the state after."""
        state = self._whole(state)
        prediction, outputs, inner = self.network.positions_with_outputs(ids, state.inner)
        mixed = []
        for part, weights, after, number in self._near(ids, outputs, state, stream=0):
            cached = np.zeros((len(weights), self.vocab_size))
            held = np.broadcast_to(np.maximum(after, 0), weights.shape)
            np.add.at(cached, (np.arange(len(weights))[:, None], held), weights)
            share = self.share * self._fullness(number)[:, None]
            probs = np.exp(prediction.log_probs()[part].astype(np.float64))
            mixed.append(np.log((1 - share) * probs + share * cached).astype(np.float32))
        grown = self._grown(inner, state, outputs, np.asarray(ids, dtype=np.int64))
        return DensePrediction(np.concatenate(mixed)), grown

    def nats_by_cache(
        self, ids: np.ndarray, outputs: np.ndarray, nats: np.ndarray, state: CacheState
    ) -> np.ndarray:
        """Give -log p of each id (S, N) by what stood before it."""
        result = nats.copy()
        for stream in range(len(ids)):
            for part, weights, after, number in self._near(ids, outputs, state, stream):
                same = after == ids[stream, part, None]
                probs = np.where(same, weights, 0.0).sum(axis=1)
                full = self._fullness(number)
                plain = np.exp(-nats[stream, part])
                with np.errstate(divide="ignore"):
                    result[stream, part] = -np.log(full * probs + (1 - full) * plain)
        return result

    def _near(
        self, ids: np.ndarray, outputs: np.ndarray, state: CacheState, stream: int
    ) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
        """Compare the outputs at a stream's ids (N,), a block at a time, with those held before.

        Gives which ids, the weight of each place for them, (n, P), the ids that followed, (P,), and
        how many places are held before each, (n,).
        """
        keys = np.concatenate([state.keys[stream], outputs[stream]])
        after = np.concatenate([state.ids[stream], ids[stream]])
        held = state.ids.shape[1]
        for start in range(0, ids.shape[1], BLOCK):
            end = min(start + BLOCK, ids.shape[1])
            first, last = max(0, held + start - self.size), held + end - 1
            places = np.arange(first, last)
            now = held + np.arange(start, end)[:, None]
            near = (places < now) & (places >= now - self.size)
            near &= after[places] != NOTHING
            like = outputs[stream, start:end] @ keys[first:last].T
            weights = softmax(np.where(near, self.flatness * like, -np.inf))
            yield slice(start, end), weights, after[places], near.sum(axis=1)
