"""The adaptive head: a distribution; the fused form is the plain one, in value and gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import UsageError
from charlm.model import chunked
from charlm.model.adaptive import AdaptiveHead
from charlm.model.heads import SoftmaxHead
from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig, zipf_share
from tests.model.head_laws import (
    check_autocast,
    check_gradient,
    check_learning,
    check_padding,
    check_weight_gradient_is_never_copied,
    gradients,
)

N, E, V = 37, 8, 50
CUTOFFS = [(10,), (7, 20), (1, 2, 3, 49)]


def head_of(cutoffs, size=V):
    torch.manual_seed(0)
    head = AdaptiveHead(E, size, cutoffs)
    torch.nn.init.normal_(head.bias)
    torch.nn.init.normal_(head.cluster_bias)
    return head


def rows_of(number, size=V):
    torch.manual_seed(1)
    return torch.randn(number, E, requires_grad=True), torch.randint(size, (number,))


@st.composite
def cut_vocabularies(draw):
    size = draw(st.integers(2, 60))
    inside = st.integers(1, size - 1)
    return size, tuple(sorted(draw(st.sets(inside, min_size=1, max_size=5))))


@settings(deadline=None, max_examples=50)
@given(cut_vocabularies(), st.integers(0, 20), st.integers(1, 300), st.booleans())
def test_wherever_it_is_cut_the_fused_form_is_the_plain_one(case, number, held, masked):
    size, cutoffs = case
    head = head_of(cutoffs, size).double()
    outputs, targets = rows_of(number, size)
    outputs = outputs.detach().double().requires_grad_()
    mask = torch.rand(number) < 0.6 if masked else None
    real = slice(None) if mask is None else mask
    plain = head.plain_nats_sum(outputs[real], targets[real])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunked, "CHUNK_NUMBERS", held)
        patch.setattr(chunked, "SCORED_NUMBERS", held)
        ours, nats = head.nats_sum(outputs, targets, mask), head.nats(outputs, targets)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(gradients(ours, head, outputs), gradients(plain, head, outputs))
    logs = head.log_probs(outputs)
    ones = torch.ones(number, dtype=torch.float64)
    torch.testing.assert_close(logs.exp().sum(dim=1), ones, atol=1e-9, rtol=0)
    torch.testing.assert_close(-logs[torch.arange(number), targets], nats)


@pytest.mark.parametrize("cutoffs", CUTOFFS)
def test_in_single_precision_probabilities_sum_to_one_and_agree_with_nats(cutoffs):
    head, (outputs, targets) = head_of(cutoffs), rows_of(N)
    logs = head.log_probs(outputs)
    torch.testing.assert_close(logs.exp().sum(dim=1), torch.ones(N), atol=1e-4, rtol=0)
    nats = head.nats(outputs, targets)
    assert nats.dtype == torch.float32 and not nats.requires_grad
    torch.testing.assert_close(-logs[torch.arange(N), targets], nats)
    torch.testing.assert_close(nats.sum(), head.nats_sum(outputs, targets))


@pytest.mark.parametrize("cutoffs", CUTOFFS)
def test_the_gradient_is_that_of_the_function(cutoffs):
    check_gradient(head_of(cutoffs).double(), *rows_of(4))


@pytest.mark.parametrize("target", [0, 9, 10, 49])
def test_clusters_without_a_target_learn_nothing(target):
    head, (outputs, _) = head_of((10, 20)), rows_of(N)
    total = head.nats_sum(outputs, torch.full((N,), target))
    plain = head.plain_nats_sum(outputs, torch.full((N,), target))
    ours = gradients(total, head, outputs)
    torch.testing.assert_close(ours, gradients(plain, head, outputs))
    moved = ours[1].abs().sum(dim=1) > 0
    assert moved[:10].all()
    assert moved[10:20].all() if 10 <= target < 20 else not moved[10:20].any()
    assert moved[20:].all() if target >= 20 else not moved[20:].any()


def test_a_batch_of_nothing_but_padding_costs_and_teaches_nothing():
    check_padding(head_of((10, 20)), *rows_of(N))


def test_a_cluster_is_opened_for_its_own_rows_alone(monkeypatch):
    head, (outputs, targets) = head_of((10, 20)), rows_of(N)
    made, linear = [], torch.nn.functional.linear

    def measured(*arguments):
        logits = linear(*arguments)
        made.append(tuple(logits.shape))
        return logits

    monkeypatch.setattr(torch.nn.functional, "linear", measured)
    in_first = int(((targets >= 10) & (targets < 20)).sum())
    in_second = int((targets >= 20).sum())
    expected = [(N, 12), (in_first, 10), (in_second, 30)]
    head.nats_sum(outputs, targets)
    assert made == expected
    made.clear()
    head.nats(outputs, targets)
    assert made == expected


def test_no_more_logits_are_held_than_allowed(monkeypatch):
    monkeypatch.setattr(chunked, "CHUNK_NUMBERS", 100)
    monkeypatch.setattr(chunked, "SCORED_NUMBERS", 100)
    head, (outputs, targets) = head_of((10, 20)), rows_of(N)
    sizes, linear = [], torch.nn.functional.linear

    def measured(*arguments):
        logits = linear(*arguments)
        sizes.append(logits.numel())
        return logits

    monkeypatch.setattr(torch.nn.functional, "linear", measured)
    head.nats_sum(outputs, targets)
    head.nats(outputs, targets)
    assert max(sizes) <= 100 and len(sizes) > 6


def test_under_autocast_it_stays_close():
    check_autocast(head_of((10, 20)), *rows_of(N))


def test_the_weights_gradient_is_made_once_and_never_copied():
    check_weight_gradient_is_never_copied(head_of((10, 20)), *rows_of(N), place=1)


def test_an_untrained_head_gives_every_word_about_the_same_probability():
    torch.manual_seed(0)
    logs = AdaptiveHead(E, V, (7, 20)).log_probs(torch.zeros(1, E))
    torch.testing.assert_close(logs.exp(), torch.full((1, V), 1 / V))


def test_without_cutoffs_a_network_has_the_full_softmax():
    assert type(LanguageNetwork(NetworkConfig(V, 4, 6)).head) is SoftmaxHead
    assert type(LanguageNetwork(NetworkConfig(V, 4, 6, cutoffs=(5,))).head) is AdaptiveHead


def test_a_network_with_cutoffs_learns_a_text_of_frequent_and_rare_words():
    check_learning(NetworkConfig(V, 16, 16, cutoffs=(5, 20)))


BAD_CUTOFFS = [(0,), (V,), (V + 1,), (5, 5), (9, 5), (-1, 5), (0, 5)]


@pytest.mark.parametrize("cutoffs", BAD_CUTOFFS)
def test_impossible_cutoffs_are_refused(cutoffs):
    with pytest.raises(UsageError, match="cutoffs must rise from 1 to 49"):
        NetworkConfig(V, 4, 4, cutoffs=cutoffs)


def test_the_rows_expected_are_those_of_words_after_zipfs_law():
    assert NetworkConfig(V, 4, 4).head_rows == V
    size = 33_278
    shares = np.cumsum(1 / np.arange(1, size + 1))
    shares /= shares[-1]
    for rank in (10, 2_000, 10_000, size):
        assert zipf_share(rank, size) == pytest.approx(shares[rank - 1], abs=0.01)
    expected = 2_002 + 8_000 * (shares[9_999] - shares[1_999]) + 23_278 * (1 - shares[9_999])
    config = NetworkConfig(size, 4, 4, cutoffs=(2_000, 10_000))
    assert config.head_rows == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("cutoffs", [(), *CUTOFFS])
def test_a_head_can_begin_with_each_word_as_probable_as_it_is_frequent(cutoffs):
    counts = torch.arange(V) ** 2
    head = AdaptiveHead(E, V, cutoffs) if cutoffs else SoftmaxHead(E, V)
    head.start_from(counts)
    found = head.log_probs(torch.zeros(1, E))[0].exp()
    expected = (counts + 0.5) / (counts + 0.5).sum()
    torch.testing.assert_close(found, expected)
