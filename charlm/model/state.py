"""The hidden state of a recurrent stack: a plain tuple of tensors that goes in and comes out.

Each tensor is (B, H): B streams, H units of its layer. An LSTM has two for each layer, in the order
h1, c1, h2, c2, ...; a GRU or RNN has one. Nothing here alters a state in place.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

State = tuple[Tensor, ...]


def detach_state(state: State) -> State:
    """Cut the state off from the graph that made it: where truncated BPTT truncates."""
    return tuple(tensor.detach() for tensor in state)


def select_state(state: State, index: Tensor) -> State:
    """Take the streams that `index` (K,) names, in its order, some perhaps several times."""
    return tuple(tensor.index_select(0, index) for tensor in state)


def stack_states(states: Sequence[State]) -> State:
    """Put the streams of several states one after the other."""
    return tuple(torch.cat(tensors) for tensors in zip(*states, strict=True))


def reset_state(state: State, initial: State, resets: Tensor) -> State:
    """Give the streams where `resets` (B,) holds their initial state again."""
    where = resets.unsqueeze(1)
    return tuple(torch.where(where, i, s) for s, i in zip(state, initial, strict=True))
