"""A state is plain values: taken apart, put together, cut off and set back, never altered."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlm.model.state import detach_state, reset_state, select_state, stack_states

B = 4
UNITS = [3, 3, 2]  # an h and a c of one size, and a layer of another


@pytest.fixture
def state():
    return random_state(0)


def random_state(seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(B, units, generator=generator) for units in UNITS)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@given(st.lists(st.integers(0, B - 1), min_size=1, max_size=6))
def test_selecting_streams_is_indexing_and_one_may_come_twice(rows):
    state = random_state(0)
    selected = select_state(state, torch.tensor(rows))
    assert same(selected, tuple(tensor[rows] for tensor in state))


@given(st.permutations(range(B)))
def test_selected_one_by_one_and_stacked_streams_are_the_state_in_that_order(order):
    state = random_state(0)
    parts = [select_state(state, torch.tensor([row])) for row in order]
    assert same(stack_states(parts), select_state(state, torch.tensor(order)))


def test_stacking_keeps_the_order_of_states_of_different_sizes(state):
    few, one = select_state(state, torch.tensor([1, 3])), select_state(state, torch.tensor([0]))
    together = stack_states([few, one, state])
    assert same(together, select_state(state, torch.tensor([1, 3, 0, 0, 1, 2, 3])))


def test_a_detached_state_carries_values_but_no_graph(state):
    weight = torch.ones((), requires_grad=True)
    grown = tuple(tensor * weight for tensor in state)
    detached = detach_state(grown)
    assert same(detached, grown)
    assert all(tensor.requires_grad for tensor in grown)
    assert not any(tensor.requires_grad for tensor in detached)


@given(st.lists(st.booleans(), min_size=B, max_size=B))
def test_a_reset_gives_those_streams_their_beginning_and_leaves_the_others(flags):
    state, initial = random_state(0), random_state(1)
    resets = torch.tensor(flags)
    after = reset_state(state, initial, resets)
    for new, old, first in zip(after, state, initial, strict=True):
        assert torch.equal(new[resets], first[resets])
        assert torch.equal(new[~resets], old[~resets])
    assert same(state, random_state(0)) and same(initial, random_state(1))
