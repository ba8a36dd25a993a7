"""Dropout: nothing outside training, one mask over time, the right mean, whole tokens."""

import pytest
import torch

from charlm.model.dropout import embedding_dropout, locked_dropout, weight_dropout

KINDS = [locked_dropout, embedding_dropout, weight_dropout]


@pytest.mark.parametrize("dropout", KINDS)
def test_it_is_the_identity_outside_training_and_at_rate_zero(dropout):
    inputs = torch.randn(3, 4, 5)
    assert torch.equal(dropout(inputs, 0.5, False), inputs)
    assert torch.equal(dropout(inputs, 0.0, True), inputs)


@pytest.mark.parametrize("dropout", KINDS)
def test_the_mean_is_kept(dropout):
    torch.manual_seed(0)
    shape = (20_000, 2) if dropout is embedding_dropout else (4000, 5, 2)
    mean = dropout(torch.ones(shape), 0.3, True).mean()
    assert abs(float(mean) - 1) < 0.03


def test_weight_dropout_spares_the_parameter_and_teaches_only_what_was_kept():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(20, 20))
    before = weight.detach().clone()
    dropped = weight_dropout(weight, 0.5, True)
    dropped.sum().backward()
    assert torch.equal(weight, before)
    assert torch.equal(weight.grad, (dropped != 0) * 2.0)
    assert 100 < int((dropped == 0).sum()) < 300


@pytest.mark.parametrize("dropout", KINDS)
def test_every_training_step_drops_anew(dropout):
    torch.manual_seed(0)
    inputs = torch.ones(30, 4, 20)[:, 0] if dropout is embedding_dropout else torch.ones(30, 4, 20)
    assert not torch.equal(dropout(inputs, 0.5, True), dropout(inputs, 0.5, True))


def test_a_locked_mask_is_the_same_at_every_step_and_another_in_every_stream():
    torch.manual_seed(0)
    dropped = locked_dropout(torch.ones(4, 9, 50), 0.5, True) == 0
    assert (dropped == dropped[:, :1]).all()
    assert (dropped[0] != dropped[1]).any()


def test_embedding_dropout_takes_whole_tokens():
    torch.manual_seed(0)
    dropped = embedding_dropout(torch.ones(100, 8), 0.5, True) == 0
    assert (dropped.all(dim=1) == dropped.any(dim=1)).all()
    assert 20 < int(dropped[:, 0].sum()) < 80
