"""A predictor small enough to check by hand: each id depends on the one before it alone."""

import numpy as np

from charlm.predict.predictor import DensePrediction, checked_ids


class Bigram:
    """log p of the next id is a row of a table; a state is the last id of each stream."""

    def __init__(self, log_probs, boundary_id):
        self.table = log_probs.astype(np.float32)
        self.vocab_size = len(log_probs)
        self.boundary_id = boundary_id

    @classmethod
    def random(cls, tokenizer, seed=0, temperature=1.0):
        generator = np.random.default_rng(seed)
        size = tokenizer.vocab_size
        logits = generator.normal(size=(size, size)) / temperature
        table = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return cls(table, tokenizer.boundary_id)

    @classmethod
    def of_text(cls, tokenizer, text, smoothing=1e-4):
        size = tokenizer.vocab_size
        counts = np.full((size, size), smoothing)
        ids = [tokenizer.boundary_id, *tokenizer.encode(text).tolist(), tokenizer.boundary_id]
        np.add.at(counts, (ids[:-1], ids[1:]), 1.0)
        return cls(np.log(counts / counts.sum(axis=1, keepdims=True)), tokenizer.boundary_id)

    def start(self, streams):
        return np.full(streams, self.boundary_id)

    def prediction(self, state):
        return DensePrediction(self.table[state])

    def step(self, ids, state):
        ids = checked_ids(ids, self.vocab_size)
        return self.prediction(ids), ids

    def score(self, ids, state):
        ids = checked_ids(ids, self.vocab_size)
        before = np.concatenate([state[:, None], ids[:, :-1]], axis=1)
        return -self.table[before, ids], ids[:, -1] if ids.shape[1] else state

    def select(self, state, streams):
        return state[np.asarray(streams)]

    def stack(self, states):
        return np.concatenate(states)
