"""The textbook loop: it learns, and it counts as it should."""

import math

import numpy as np
import pytest
import torch

from charlm.benchmark.textbook import TextbookLoop, TextbookModel, in_streams, windows


def loop(length=400, valid=None, **options):
    torch.manual_seed(1)
    dropout, size = options.pop("dropout", 0.0), options.pop("size", 8)
    model = TextbookModel(11, size, size, 2, dropout, **options)
    ids = torch.arange(length) * 3 % 11  # each id is followed by one and the same
    return TextbookLoop(model, ids, valid, batch_size=4, window=7)


@pytest.mark.parametrize("tied", [True, False])
def test_it_learns(tied):
    textbook = loop(length=3000, tied=tied, size=24, valid=torch.arange(200) * 3 % 11)
    untaught, first, second = textbook.validate(), textbook.epoch(), textbook.epoch()
    assert untaught > 0.9 * math.log(11)
    assert second < 0.2 * first
    assert textbook.validate() < 0.25 * untaught


def test_an_epoch_costs_its_total_nats_over_its_total_tokens():
    """At a rate of zero the epoch's cost is the model's, over windows of unequal length."""
    textbook = loop(length=4 * 17)
    textbook.rate = 0.0
    with torch.no_grad():
        streams = in_streams(torch.arange(68) * 3 % 11, 4)  # (17, 4): windows of 7, 7 and 2
        log_probs, _ = textbook.model(streams[:-1], textbook.model.initial_hidden(4))
        picked = log_probs.gather(1, streams[1:].reshape(-1, 1))
    assert textbook.epoch() == pytest.approx(-float(picked.mean()), rel=1e-6)


def test_the_held_out_score_is_total_nats_over_total_tokens_with_the_state_carried():
    valid = torch.arange(10 * 17) * 3 % 11
    textbook = loop(valid=valid, dropout=0.5)  # none of it in scoring
    streams = in_streams(valid, 10)
    textbook.model.eval()
    with torch.no_grad():
        log_probs, _ = textbook.model(streams[:-1], textbook.model.initial_hidden(10))
        expected = -float(log_probs.gather(1, streams[1:].reshape(-1, 1)).mean())
    assert textbook.validate() == pytest.approx(expected, rel=1e-6)


def test_streams_and_windows_hold_each_prediction_once_but_for_the_tail():
    ids = torch.arange(45)
    streams = in_streams(ids, 4)
    assert streams.shape == (11, 4) and streams[:, 1].tolist() == list(range(11, 22))
    pairs = []
    for inputs, targets in windows(streams, 3):
        pairs += zip(inputs.flatten().tolist(), targets.tolist(), strict=True)
    assert sorted(pairs) == [(n, n + 1) for n in range(44) if n % 11 != 10]


def test_the_rate_is_quartered_where_an_epoch_brought_nothing():
    textbook = loop(valid=torch.arange(100) * 3 % 11)
    textbook.validate()
    assert textbook.rate == 20
    textbook.validate()  # as good as before is not better
    assert textbook.rate == 5


def test_a_step_moves_against_the_clipped_gradient_by_the_rate():
    textbook = loop()
    before = [parameter.detach().clone() for parameter in textbook.model.parameters()]
    textbook.step()
    moved = sum(
        float((a - b.detach()).square().sum())
        for a, b in zip(before, textbook.model.parameters(), strict=True)
    )
    gradient = sum(float(p.grad.square().sum()) for p in textbook.model.parameters())
    assert moved**0.5 == pytest.approx(20 * gradient**0.5, rel=1e-4)
    assert gradient**0.5 <= 0.25 * (1 + 1e-5)


def test_steps_begin_anew_behind_the_last_window():
    textbook = loop(length=4 * 15)  # two windows
    assert textbook.steps_per_epoch == 2
    assert np.isfinite([textbook.step() for _ in range(5)]).all()
    assert len(list(windows(torch.zeros(15, 4), 7))) == textbook.steps_per_epoch


def test_tied_weights_are_one_and_counted_once():
    sizes = [sum(p.numel() for p in TextbookModel(11, 8, 8, tied=t).parameters()) for t in (1, 0)]
    assert sizes[1] - sizes[0] == 11 * 8
