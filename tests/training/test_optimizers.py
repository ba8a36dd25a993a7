"""Optimizers: which parameters are updated how."""

import pytest
import torch
from torch import nn

from charlm.errors import ModelError
from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig
from charlm.training.optimizers import BETAS, ROW_BETA, OptimizerOptions, make_optimizer
from charlm.training.snapshot import optimizer_tensors, set_optimizer


class Network(nn.Module):
    """A table of words and a matrix."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Parameter(torch.randn(7, 5))
        self.matrix = nn.Parameter(torch.randn(5, 5))
        self.bias = nn.Parameter(torch.randn(5))

    def tables(self):
        return [self.table]

    def loss(self, step):
        generator = torch.Generator().manual_seed(step)
        rows = torch.randint(5, (3,), generator=generator)  # two are never asked for
        return ((self.table[rows] @ self.matrix + self.bias) ** 2).mean()


def train(network, optimizer, steps):
    for step in steps:
        optimizer.zero_grad()
        network.loss(step).backward()
        optimizer.step()


def test_weight_decay_is_for_matrices_those_of_mogrifier_and_mixture_too():
    config = NetworkConfig(11, 4, 6, mogrifier=2, mogrifier_rank=2, mixtures=3)
    network = LanguageNetwork(config)
    groups = make_optimizer(network, OptimizerOptions()).param_groups
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decays = {
        names[id(parameter)]: group["weight_decay"] > 0
        for group in groups
        for parameter in group["params"]
    }
    assert decays == {name: "bias" not in name for name in config.parameter_shapes()}


def test_a_table_has_one_number_for_each_row_and_the_rest_two_for_each_number():
    network = Network()
    optimizer = make_optimizer(network, OptimizerOptions())
    train(network, optimizer, range(3))
    shapes = {
        id(parameter): {name: tuple(value.shape) for name, value in state.items()}
        for parameter, state in optimizer.state.items()
    }
    assert shapes[id(network.table)] == {"step": (), "row_square": (7, 1)}
    moments = {"step": (), "exp_avg": (5, 5), "exp_avg_sq": (5, 5)}
    assert shapes[id(network.matrix)] == moments


def test_a_row_moves_as_the_equations_say():
    network = Network()
    options = OptimizerOptions(learning_rate=0.1, weight_decay=0.3)
    optimizer = make_optimizer(network, options)
    table, square = network.table.detach().double(), torch.zeros(7, 1, dtype=torch.float64)
    for step in range(1, 5):
        optimizer.zero_grad()
        network.loss(step).backward()
        gradient = network.table.grad.double()
        square = ROW_BETA * square + (1 - ROW_BETA) * (gradient**2).mean(dim=1, keepdim=True)
        root = (square / (1 - ROW_BETA**step)).sqrt() + 1e-8
        table = table * (1 - 0.1 * 0.3) - 0.1 * gradient / root
        optimizer.step()
        torch.testing.assert_close(network.table.detach().double(), table, rtol=1e-5, atol=1e-6)
        assert network.table.grad is not None


def test_what_is_no_table_moves_as_by_plain_adamw():
    ours, theirs = Network(), Network()
    mine = make_optimizer(ours, OptimizerOptions(weight_decay=0.0))
    ours.table.requires_grad_(False), theirs.table.requires_grad_(False)
    rest = [theirs.matrix, theirs.bias]
    plain = torch.optim.AdamW(rest, lr=1e-2, betas=BETAS, weight_decay=0.0, fused=True)
    train(ours, mine, range(5))
    train(theirs, plain, range(5))
    assert torch.equal(ours.matrix, theirs.matrix) and torch.equal(ours.bias, theirs.bias)


@pytest.mark.parametrize(
    "name, theirs", [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)], ids=["sgd", "adam"]
)
def test_those_of_publications_are_pytorchs_with_decay_of_every_weight(name, theirs):
    ours, plain = Network(), Network()
    plain.load_state_dict(ours.state_dict())
    train(ours, make_optimizer(ours, OptimizerOptions(name, 0.1, weight_decay=0.3)), range(5))
    train(plain, theirs(plain.parameters(), lr=0.1, weight_decay=0.3), range(5))
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_it_goes_on_from_its_tensors_to_the_bit(optimizer):
    options = OptimizerOptions(optimizer=optimizer)
    whole, first, second = Network(), Network(), Network()
    train(whole, make_optimizer(whole, options), range(6))
    half = make_optimizer(first, options)
    train(first, half, range(3))
    second.load_state_dict(first.state_dict())
    rest = make_optimizer(second, options)
    set_optimizer(rest, optimizer_tensors(half))
    train(second, rest, range(3, 6))
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("exp_avg", (5, 1)), ("exp_avg_sq", ()), ("row_square", (7, 5)), ("more", ()), ("step", None)],
)
def test_tensors_of_another_optimizer_are_refused(name, shape):
    network = Network()
    optimizer = make_optimizer(network, OptimizerOptions())
    train(network, optimizer, range(2))
    tensors = optimizer_tensors(optimizer)
    [place] = [key for key in tensors if key.endswith("." + name)][:1] or ["0." + name]
    if shape is None:
        del tensors[place]
    else:
        tensors[place] = torch.zeros(shape)
    with pytest.raises(ModelError):
        set_optimizer(make_optimizer(network, OptimizerOptions()), tensors)


def test_a_module_without_tables_has_none():
    module = nn.Linear(2, 2)
    optimizer = make_optimizer(module, OptimizerOptions())
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 1, 0]
