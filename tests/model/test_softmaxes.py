"""The mixture of softmaxes: a distribution; the chunked form is the plain one; any rank."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.model import chunked, softmaxes
from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig
from charlm.model.softmaxes import MixtureHead
from tests.model.head_laws import (
    check_autocast,
    check_gradient,
    check_learning,
    check_padding,
    check_weight_gradient_is_never_copied,
    gradients,
)

N, H, E, V, K = 37, 6, 8, 50, 3


def head_of(mixtures=K, rows=E, size=V):
    torch.manual_seed(0)
    head = MixtureHead(H, rows, size, mixtures)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    return head


def rows_of(number):
    torch.manual_seed(1)
    return torch.randn(number, H, requires_grad=True), torch.randint(V, (number,))


def in_double(head, outputs):
    return head.double(), outputs.detach().double().requires_grad_()


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunked, "CHUNK_NUMBERS", V * 10)
    monkeypatch.setattr(chunked, "SCORED_NUMBERS", V * 10)
    monkeypatch.setattr(softmaxes, "SCORED_NUMBERS", V * 10)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 5), st.integers(0, 20), st.integers(1, 2000), st.booleans(), st.integers(0, 3)
)
def test_the_chunked_sum_and_its_gradients_are_the_plain_ones(mixtures, number, held, masked, fill):
    outputs, targets = rows_of(number)
    head, outputs = in_double(head_of(mixtures), outputs)
    mask = torch.rand(number) < 0.6 if masked else None
    real = slice(None) if mask is None else mask
    plain = head.plain_nats_sum(outputs[real], targets[real])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunked, "CHUNK_NUMBERS", held)
        patch.setattr(chunked, "SCORED_NUMBERS", held)
        patch.setattr(softmaxes, "SCORED_NUMBERS", held)
        patch.setattr(chunked, "_rows_held", lambda rows, compiled: rows + fill)
        ours, nats = head.nats_sum(outputs, targets, mask), head.nats(outputs, targets)
        logs = head.log_probs(outputs)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(gradients(ours, head, outputs), gradients(plain, head, outputs))
    ones = torch.ones(number, dtype=torch.float64)
    torch.testing.assert_close(logs.exp().sum(dim=1), ones, atol=1e-9, rtol=0)
    torch.testing.assert_close(-logs[torch.arange(number), targets], nats)


def test_it_is_the_sum_of_its_softmaxes():
    outputs, _ = rows_of(4)
    head, outputs = in_double(head_of(), outputs)
    shares = (outputs @ head.prior_weight.T).softmax(dim=1)
    latents = (outputs @ head.latent_weight.T + head.latent_bias).tanh().view(4, K, E)
    each = (latents @ head.weight.T + head.bias).softmax(dim=2)
    expected = (shares[:, :, None] * each).sum(dim=1)
    torch.testing.assert_close(head.log_probs(outputs).exp(), expected)
    shaped = head.log_probs(outputs.view(2, 1, 2, H))
    torch.testing.assert_close(shaped, head.log_probs(outputs).view(2, 1, 2, V))


def test_the_gradient_is_that_of_the_function(small_chunks):
    check_gradient(head_of(2).double(), *rows_of(4), fast_mode=True)


def test_a_graph_can_be_walked_twice(small_chunks):
    head, (outputs, targets) = head_of(), rows_of(N)
    total, everything = head.nats_sum(outputs, targets), [outputs, *head.parameters()]
    first = torch.autograd.grad(total, everything, torch.tensor(3.0), retain_graph=True)
    torch.testing.assert_close(first, torch.autograd.grad(total, everything, torch.tensor(3.0)))


def test_log_probabilities_of_a_mixture_have_a_rank_that_one_softmax_cannot_have():
    rows, contexts = 3, torch.randn(40, H, dtype=torch.float64)
    ranks = [
        int(torch.linalg.matrix_rank(head_of(number, rows).double().log_probs(contexts)))
        for number in (1, 3)
    ]
    assert ranks[0] <= rows + 2 < ranks[1]


def test_no_more_logits_are_held_than_allowed(small_chunks, monkeypatch):
    head, (outputs, targets) = head_of(), rows_of(N)
    sizes, linear = [], torch.nn.functional.linear

    def measured(rows, weight, *bias):
        logits = linear(rows, weight, *bias)
        if len(weight) == V:
            sizes.append(logits.numel())
        return logits

    monkeypatch.setattr(torch.nn.functional, "linear", measured)
    head.nats_sum(outputs, targets)
    head.nats(outputs, targets)
    head.log_probs(outputs)
    assert max(sizes) <= V * 10 and sum(sizes) == 3 * K * N * V


def test_under_autocast_it_stays_close(small_chunks):
    check_autocast(head_of(), *rows_of(N))


def test_a_batch_of_nothing_but_padding_costs_and_teaches_nothing():
    head, (outputs, targets) = head_of(), rows_of(N)
    check_padding(head, outputs, targets)
    assert head.nats(outputs[:0], targets[:0]).shape == (0,)


def test_the_weights_gradient_is_made_once_and_never_copied():
    check_weight_gradient_is_never_copied(head_of(), *rows_of(N), place=2)


def test_what_is_improbable_to_the_last_digit_has_a_finite_price():
    head, (outputs, targets) = head_of(), rows_of(N)
    with torch.no_grad():
        head.bias[targets[0]] = -1e4
    assert 9e3 < float(head.nats(outputs, targets)[0]) < 1.1e4
    total = head.nats_sum(outputs, targets)
    assert all(gradient.isfinite().all() for gradient in gradients(total, head, outputs))


def test_it_can_begin_with_each_word_as_probable_as_it_is_frequent():
    torch.manual_seed(0)
    head, counts = MixtureHead(H, E, V, K), torch.arange(V) ** 2
    head.start_from(counts)
    expected = (counts + 0.5) / (counts + 0.5).sum()
    torch.testing.assert_close(head.log_probs(torch.zeros(1, H))[0].exp(), expected)
    near = head.log_probs(0.2 * torch.randn(100, H)).detach().exp()
    assert float((near.mean(dim=0) - expected).abs().sum()) < 0.1


@pytest.mark.parametrize("tied", [True, False])
def test_a_network_with_a_mixture_reads_the_last_layer_and_shares_what_it_may(tied):
    network = LanguageNetwork(NetworkConfig(V, 4, 6, mixtures=K, tie_weights=tied))
    assert network.projection is None and type(network.head) is MixtureHead
    assert (network.head.weight is network.embedding) == tied
    assert network.head.latent_weight.shape == (K * (4 if tied else 6), 6)
    assert type(LanguageNetwork(NetworkConfig(V, 4, 6)).head) is not MixtureHead


def test_a_network_with_a_mixture_learns():
    check_learning(NetworkConfig(V, 16, 16, mixtures=K))
