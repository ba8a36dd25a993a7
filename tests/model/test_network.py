"""The network: tied weights, padding that does not count, shapes known before they exist."""

import dataclasses

import numpy as np
import pytest
import torch

from charlm.batches.padded import pad
from charlm.errors import UsageError
from charlm.model import heads
from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig

V = 11
CONFIGS = [
    NetworkConfig(V, 6, 6),
    NetworkConfig(V, 4, 6, num_layers=2, cell="gru"),
    NetworkConfig(V, 4, 6, cell="rnn", tie_weights=False),
    NetworkConfig(V, 6, 6, cell="rnn", nonlinearity="relu"),
    NetworkConfig(V, 4, 6, cutoffs=(3, 7)),
    NetworkConfig(V, 4, 6, tie_weights=False, cutoffs=(3,)),
    NetworkConfig(V, 4, 6, num_layers=2, mogrifier=3),
    NetworkConfig(V, 4, 6, mogrifier=2, mogrifier_rank=2, mixtures=2),
    NetworkConfig(V, 6, 6, mixtures=3, tie_weights=False),
    NetworkConfig(V, 4, 6, num_layers=3, last_hidden_size=4),
    NetworkConfig(V, 4, 6, num_layers=2, cell="gru", last_hidden_size=9),
    NetworkConfig(V, 4, 6, num_layers=2, cell="rnn", last_hidden_size=5, tie_weights=False),
    NetworkConfig(V, 4, 6, num_layers=2, last_hidden_size=5, mogrifier=2, mixtures=2),
    NetworkConfig(V, 4, 6, num_layers=2, last_hidden_size=5, cutoffs=(3, 7)),
]


def network_of(config):
    torch.manual_seed(0)
    return LanguageNetwork(config).eval()


def random_ids(*shape):
    return torch.randint(V, shape)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_padded_batch_costs_what_its_sequences_cost_one_by_one(config):
    network = network_of(config)
    generator = np.random.default_rng(0)
    documents = [generator.integers(V, size=n) for n in (9, 2, 5, 1, 7)]
    batch = pad(documents)
    together, _ = network.nats(
        torch.from_numpy(batch.inputs),
        torch.from_numpy(batch.targets),
        network.initial_state(len(documents)),
        mask=torch.from_numpy(batch.mask),
    )
    summed, _ = network.nats_sum(
        torch.from_numpy(batch.inputs),
        torch.from_numpy(batch.targets),
        network.initial_state(len(documents)),
        mask=torch.from_numpy(batch.mask),
    )
    alone = 0.0
    for document in documents:
        ids = torch.from_numpy(document)[None]
        if ids.shape[1] > 1:
            nats, _ = network.nats(ids[:, :-1], ids[:, 1:], network.initial_state(1))
            alone += float(nats.sum())
    assert float(together.sum()) == pytest.approx(alone, rel=1e-5)
    assert float(summed.detach()) == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
def test_shapes_are_known_without_the_network(config):
    shapes = {name: tuple(p.shape) for name, p in network_of(config).named_parameters()}
    assert config.parameter_shapes() == shapes


@pytest.mark.parametrize("config", CONFIGS)
def test_states_have_the_sizes_that_are_told(config):
    state = network_of(config).initial_state(3)
    assert [tuple(part.shape) for part in state] == [(3, size) for size in config.state_sizes]


def test_a_last_layer_as_wide_as_the_embedding_is_what_the_tied_head_reads():
    network, ids = network_of(NetworkConfig(V, 4, 6, num_layers=2, last_hidden_size=4)), [[1, 2]]
    outputs, state = network(torch.tensor(ids), network.initial_state(1))
    assert network.projection is None and torch.equal(outputs[:, -1], state[2])
    wider = NetworkConfig(V, 4, 6, num_layers=2, last_hidden_size=9)
    assert network_of(wider).projection.weight.shape == (4, 9)
    same = NetworkConfig(V, 4, 6, num_layers=2)
    named = dataclasses.replace(same, last_hidden_size=6)
    assert same.parameter_shapes() == named.parameter_shapes() and same.extras == named.extras == []


def test_huge_shapes_cost_nothing_to_name():
    shapes = NetworkConfig(10**6, 10**5, 10**5).parameter_shapes()
    assert shapes["embedding"] == (10**6, 10**5)


@pytest.mark.parametrize("config", CONFIGS)
def test_documents_in_one_window_with_resets_cost_what_they_cost_alone(config):
    network, ids = network_of(config), random_ids(1, 10)
    resets = torch.zeros(1, 9, dtype=torch.bool)
    resets[0, 4] = True
    together, _ = network.nats(ids[:, :-1], ids[:, 1:], network.initial_state(1), resets=resets)
    first, _ = network.nats(ids[:, :4], ids[:, 1:5], network.initial_state(1))
    second, _ = network.nats(ids[:, 4:-1], ids[:, 5:], network.initial_state(1))
    torch.testing.assert_close(together, torch.cat([first, second], dim=1))


@pytest.mark.parametrize("config", CONFIGS)
def test_nothing_leaks_from_the_future(config):
    network = network_of(config)
    ids = random_ids(1, 8)
    changed = ids.clone()
    changed[0, 5:] = (changed[0, 5:] + 1) % V
    first, _ = network(ids, network.initial_state(1))
    second, _ = network(changed, network.initial_state(1))
    torch.testing.assert_close(first[:, :5], second[:, :5])
    assert not torch.allclose(first[:, 5:], second[:, 5:])


@pytest.mark.parametrize("cutoffs", [(), (3, 7)])
def test_tied_weights_are_one(cutoffs):
    network = network_of(dataclasses.replace(CONFIGS[1], cutoffs=cutoffs))
    assert network.head.weight is network.embedding
    assert network.projection is not None
    assert network.projection.weight.shape == (4, 6)
    assert network_of(CONFIGS[0]).projection is None
    assert network_of(CONFIGS[2]).head.weight is not network_of(CONFIGS[2]).embedding


@pytest.mark.parametrize("cutoffs", [(), (3, 7)])
def test_a_tied_weight_learns_as_embedding_and_as_head(cutoffs, monkeypatch):
    monkeypatch.setattr(heads, "PLAIN_NUMBERS", 0)
    tied = network_of(NetworkConfig(V, 6, 6, cutoffs=cutoffs))
    apart = network_of(NetworkConfig(V, 6, 6, tie_weights=False, cutoffs=cutoffs))
    values = tied.state_dict()
    apart.load_state_dict(values | {"head.weight": values["embedding"]})
    ids = random_ids(2, 6)
    for network in (tied, apart):
        network.nats_sum(ids[:, :-1], ids[:, 1:], network.initial_state(2))[0].backward()
    both = apart.embedding.grad + apart.head.weight.grad
    torch.testing.assert_close(tied.embedding.grad, both)


@pytest.mark.parametrize("cutoffs", [(), (3, 7)])
def test_what_a_tied_weight_learns_is_added_up_in_the_place_it_was_made(cutoffs, monkeypatch):
    monkeypatch.setattr(heads, "PLAIN_NUMBERS", 0)
    network, ids = network_of(NetworkConfig(V, 6, 6, cutoffs=cutoffs)), random_ids(2, 6)
    nats, _ = network.nats_sum(ids[:, :-1], ids[:, 1:], network.initial_state(2))
    made = nats.grad_fn.gradients[1].data_ptr()
    (nats / 10).backward()
    assert network.embedding.grad.data_ptr() == made


def test_scoring_leaves_no_graph_behind():
    network, ids = network_of(CONFIGS[1]), random_ids(2, 6)
    nats, state = network.nats(ids[:, :-1], ids[:, 1:], network.initial_state(2))
    assert not any(tensor.requires_grad for tensor in (nats, *state))


@pytest.mark.parametrize("config", CONFIGS)
def test_probabilities_sum_to_one_and_agree_with_nats(config):
    network, ids = network_of(config), random_ids(2, 6)
    outputs, _ = network(ids[:, :-1], network.initial_state(2))
    logs = network.log_probs(outputs)
    torch.testing.assert_close(logs.exp().sum(dim=-1), torch.ones(2, 5))
    nats, _ = network.nats(ids[:, :-1], ids[:, 1:], network.initial_state(2))
    torch.testing.assert_close(-logs.gather(2, ids[:, 1:, None])[:, :, 0], nats)


def test_dropout_works_in_training_only():
    network = network_of(NetworkConfig(V, 6, 6, input_dropout=0.5, output_dropout=0.5))
    ids, state = random_ids(2, 6), network.initial_state(2)
    assert torch.equal(network(ids, state)[0], network(ids, state)[0])
    network.train()
    assert not torch.equal(network(ids, state)[0], network(ids, state)[0])


@pytest.mark.parametrize(
    "values",
    [
        {"hidden_size": 0},
        {"input_dropout": 1.0},
        {"num_layers": -1},
        {"mogrifier": -1},
        {"mogrifier": 101},
        {"mogrifier": 5, "cell": "gru"},
        {"mogrifier": 5, "mogrifier_rank": -1},
        {"mogrifier_rank": 4},
        {"mixtures": 0},
        {"mixtures": 2, "cutoffs": (3,)},
        {"last_hidden_size": 0, "num_layers": 2},
        {"last_hidden_size": 4, "num_layers": 1},
    ],
)
def test_impossible_shapes_are_refused(values):
    with pytest.raises(UsageError, match=next(iter(values))):
        NetworkConfig(**{"vocab_size": V, "embed_size": 4, "hidden_size": 4} | values)
