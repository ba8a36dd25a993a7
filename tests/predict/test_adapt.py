import numpy as np
import pytest
import torch

from charlm.errors import UsageError
from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig
from charlm.predict.adapt import AdaptingPredictor, gradient_scales, segment_gradients
from charlm.predict.adaptation import Adaptation
from charlm.predict.cache import CachedPredictor
from charlm.predict.mixture import MixturePredictor
from charlm.predict.neural import NeuralPredictor
from tests.predict.laws import check_laws

SHAPES = {
    "lstm": NetworkConfig(vocab_size=11, embed_size=6, hidden_size=8, num_layers=2),
    "gru, levels": NetworkConfig(11, 6, 8, cell="gru", tie_weights=False, cutoffs=(4, 7)),
    "mogrifier, softmaxes": NetworkConfig(11, 6, 8, mogrifier=3, mixtures=2),
}
QUICK = Adaptation(rate=0.3, decay=0.01, segment=5)


def network(shape="lstm"):
    torch.manual_seed(5)
    return NeuralPredictor(LanguageNetwork(SHAPES[shape]), boundary_id=10)


def ids(length=23, seed=0):
    return np.random.default_rng(seed).integers(0, 10, size=(1, length))


def scales_of(predictor):
    return gradient_scales(predictor, ids(60, seed=9)[0], segment=5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("by_row", [False, True])
def test_the_laws_hold(shape, by_row):
    plain = network(shape)
    scales = scales_of(plain) if by_row else None
    rate = 0.02 if by_row else 0.3
    check_laws(AdaptingPredictor(plain, Adaptation(rate, 0.01, 5), scales), ids())


@pytest.mark.parametrize("kind", ["cache", "mixture"])
def test_the_laws_hold_for_what_stands_on_it(kind):
    adapting = AdaptingPredictor(network(), QUICK)
    cached = CachedPredictor(adapting, 0.3, 1.0)
    mixed = MixturePredictor([cached, network("gru, levels")], np.array([[0.6, 0.4]]))
    check_laws({"cache": cached, "mixture": mixed}[kind], ids())


def test_the_weights_given_stay_as_they_are_to_the_byte():
    plain = network()
    before = {n: p.detach().numpy().tobytes() for n, p in plain.network.named_parameters()}
    adapting = AdaptingPredictor(plain, QUICK)
    _, state = adapting.score(ids(), adapting.start(1))
    for _ in range(7):
        _, state = adapting.step(np.array([3]), state)
    assert {n: p.detach().numpy().tobytes() for n, p in plain.network.named_parameters()} == before
    moved = dict(state.reader.network.named_parameters())
    assert all(moved[name].detach().numpy().tobytes() != data for name, data in before.items())
    assert moved["embedding"] is state.reader.network.head.weight  # tied ones stay one


def test_a_state_made_earlier_reads_on_as_if_nothing_had_been_read_since():
    adapting = AdaptingPredictor(network(), QUICK)
    _, state = adapting.score(ids(13), adapting.start(1))
    first, _ = adapting.score(ids(seed=1), state)
    adapting.score(ids(40, seed=2), state)
    again, _ = adapting.score(ids(seed=1), state)
    np.testing.assert_array_equal(first, again)


def test_nothing_is_known_of_ids_to_come():
    adapting = AdaptingPredictor(network(), QUICK)
    text = ids()
    other = text.copy()
    other[0, 12:] = (other[0, 12:] + 1) % 10
    a, _ = adapting.score(text, adapting.start(1))
    b, _ = adapting.score(other, adapting.start(1))
    np.testing.assert_array_equal(a[0, :12], b[0, :12])
    assert (a[0, 13:] != b[0, 13:]).any()


def test_before_the_first_segment_ends_it_is_the_network():
    plain = network()
    adapting = AdaptingPredictor(plain, QUICK)
    nats, _ = adapting.score(ids(), adapting.start(1))
    still, _ = plain.score(ids(), plain.start(1))
    np.testing.assert_allclose(nats[0, :5], still[0, :5], atol=1e-6)
    assert abs(nats[0, 6:] - still[0, 6:]).max() > 0.01


def test_a_step_goes_against_the_gradient_and_back_towards_the_trained_weights():
    plain = network()
    adapting = AdaptingPredictor(plain, QUICK)
    text = ids(10)
    _, once = adapting.score(text[:, :5], adapting.start(1))
    _, twice = adapting.score(text[:, 5:], once)
    trained = dict(plain.network.named_parameters())
    first = segment_gradients(plain.network, text[0, :5], adapting.start(1).now)
    for name, weight in once.reader.network.named_parameters():
        wanted = trained[name] - 0.99 * 0.3 * first[name]
        torch.testing.assert_close(weight, wanted)
    second = segment_gradients(once.reader.network, text[0, 5:], once.now)
    for name, weight in twice.reader.network.named_parameters():
        stepped = dict(once.reader.network.named_parameters())[name] - 0.3 * second[name]
        torch.testing.assert_close(weight, 0.99 * stepped + 0.01 * trained[name])


def test_the_gradient_is_that_of_the_mean_nats():
    plain = network()
    text, begin = ids(6)[0], plain.start(1)
    gradients = segment_gradients(plain.network, text, begin)
    bias = plain.network.head.bias
    with torch.no_grad():
        bias[3] += 1e-2
        above = plain.score(text[None], begin)[0].mean()
        bias[3] -= 2e-2
        below = plain.score(text[None], begin)[0].mean()
    assert gradients["head.bias"][3].item() == pytest.approx((above - below) / 2e-2, abs=1e-3)


def test_scales_are_root_mean_squares_of_the_rows():
    plain, text = network(), ids(15)[0]
    scales = gradient_scales(plain, text, segment=5)
    state, squares = plain.start(1), []
    for start in (0, 5, 10):
        part = text[start : start + 5]
        squares.append(segment_gradients(plain.network, part, state)["embedding"].square())
        state = plain.read_in_order(part[None], state)
    wanted = torch.stack(squares).mean(dim=(0, 2)).sqrt()
    torch.testing.assert_close(scales["embedding"], wanted)
    assert {name: len(scale) for name, scale in scales.items()} == {
        name: len(parameter) for name, parameter in plain.network.named_parameters()
    }


def test_rows_that_moved_much_in_training_have_smaller_rates_and_are_held_more():
    plain = network()
    scales = {n: torch.zeros(len(p)) for n, p in plain.network.named_parameters()}
    scales["head.bias"][:2] = torch.tensor([1.0, 3.0])
    adapting = AdaptingPredictor(plain, Adaptation(0.1, 0.001, 5), scales)
    total = sum(parameter.numel() for parameter in plain.network.parameters())
    mean = 4.0 / total
    torch.testing.assert_close(
        adapting._rates["head.bias"][:3],
        torch.tensor([0.1 / (1 + mean), 0.1 / (3 + mean), 0.1 / mean]),
    )
    assert adapting._decays["head.bias"][:3].tolist() == pytest.approx(
        [min(1, 0.001 / mean), min(1, 0.003 / mean), 0]
    )


def test_a_text_that_repeats_itself_is_learned():
    text = np.tile(np.arange(5), (1, 120))
    plain = network()
    adapting = AdaptingPredictor(plain, Adaptation(rate=1.0, decay=0.0, segment=5))
    still, _ = plain.score(text, plain.start(1))
    nats, _ = adapting.score(text, adapting.start(1))
    assert nats[0, -20:].mean() < 0.7 * still[0, -20:].mean()


def test_one_text_is_read_at_a_time_and_selected_streams_learn_no_more():
    adapting = AdaptingPredictor(network(), QUICK)
    with pytest.raises(UsageError, match="one text at a time"):
        adapting.start(2)
    _, state = adapting.score(ids(12), adapting.start(1))
    _, other = adapting.score(ids(12, seed=4), adapting.start(1))
    with pytest.raises(UsageError, match="side by side"):
        adapting.stack([state, other])
    three = adapting.select(state, [0, 0, 0])
    texts = np.concatenate([ids(12, seed=6)] * 3)
    nats, after = adapting.score(texts, three)
    assert after.reader is state.reader
    np.testing.assert_allclose(nats[0], nats[2], atol=1e-6)
    assert len(adapting.stack([after, three]).now.output) == 6


def test_layers_keep_what_a_gradient_needs(monkeypatch):
    kept, lstm = [], torch.lstm
    monkeypatch.setattr(torch, "lstm", lambda *a: kept.append(a[6]) or lstm(*a))
    plain = network()
    plain.score(ids(), plain.start(1))
    assert set(kept) == {False}
    kept.clear()
    segment_gradients(plain.network, ids(5)[0], plain.start(1))
    assert kept[-2:] == [True, True]
