"""Weights drawn uniformly: each within its bound, the same for a seed, what a run begins with."""

import pytest
import torch

import charlm
from charlm.model.initial import draw_uniformly
from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig

SHAPES = [
    {},
    {"tie_weights": False},
    {"cell": "gru", "cutoffs": (10, 30)},
    {"last_hidden_size": 64, "embed_size": 64},
]


def network_of(seed=1, **shape):
    torch.manual_seed(seed)
    network = LanguageNetwork(
        NetworkConfig(
            **{"vocab_size": 90, "embed_size": 12, "hidden_size": 16, "num_layers": 2} | shape
        )
    )
    draw_uniformly(network)
    return network


@pytest.mark.parametrize("shape", SHAPES)
def test_every_weight_is_within_its_bound_and_fills_it(shape):
    for name, parameter in network_of(**shape).named_parameters():
        bound = 0.25 if name.startswith(("stack", "projection")) else 0.1
        if name.startswith("stack.layers.1") and "last_hidden_size" in shape:
            bound = 0.125
        if name.startswith("head") and parameter.dim() == 1:
            assert not parameter.any(), name
        else:
            assert 0.8 * bound < parameter.abs().max() <= bound, name


def test_forget_gates_begin_half_open():
    for layer in network_of().stack.layers:
        assert abs(float(layer.bias_ih.detach()[16:32].mean())) < 0.15


def test_a_seed_draws_the_same():
    same, again, other = (network_of(seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(same[name], again[name]) for name in same)
    assert not any(torch.equal(same[name], other[name]) for name in same if same[name].any())


@pytest.mark.parametrize("init", ["usual", "uniform"])
def test_a_run_begins_with_them_where_it_is_to(tmp_path, text_file, init):
    out = tmp_path / "run"
    small = {"hidden": 16, "embed": 8, "batch": 4, "bptt": 5, "steps": 1, "threads": 1}
    charlm.train(text_file, init=init, lr=1e-12, optimizer="sgd", out=str(out), **small)
    network = charlm.load(out).parts.reader.network
    uniform = float(network.embedding.detach().abs().max()) <= 0.1 + 1e-6
    assert uniform == (init == "uniform")
    assert (float(network.head.bias.detach().abs().max()) < 1e-6) == (init == "uniform")
