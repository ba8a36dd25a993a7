"""On a device all rules draw what they draw here, and nothing but ids and their log p leaves it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._python_dispatch import TorchDispatchMode

from charlm.generation.batching import WritingBatch
from charlm.generation.choosing import Chooser
from charlm.generation.generator import guards_of
from charlm.generation.options import SamplingOptions
from charlm.generation.writing import Writing
from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig
from charlm.predict.changes import Change, Cuts, Description, How
from charlm.predict.drawn_tensors import drawn, sent
from charlm.predict.neural import NeuralPredictor
from charlm.predict.predictor import DensePrediction
from charlm.predict.tensors import TensorPrediction
from charlm.text.learning import learn_tokenizer

CHAR = learn_tokenizer("char", lambda: ["the cat sat on the mat, the dog sat on the log."])
V = CHAR.vocab_size

shares = st.floats(0.02, 0.98)
OPTIONS = st.builds(
    SamplingOptions,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 1.0, 1.7]),
    top_k=st.sampled_from([0, 0, 0, 1, 3, V - 1, V, 1000]),
    top_p=st.just(1.0) | shares,
    min_p=st.just(0.0) | st.floats(0.001, 0.3),
    typical_p=st.just(1.0) | shares,
    eta_cutoff=st.just(0.0) | st.floats(0.001, 0.3),
    repetition_penalty=st.sampled_from([1.0, 1.0, 1.3, 0.7, 5.0]),
    presence_penalty=st.sampled_from([0.0, 0.0, 0.7, -0.4]),
    frequency_penalty=st.sampled_from([0.0, 0.0, 0.3, -0.2]),
    no_repeat_ngram_size=st.sampled_from([0, 0, 1, 2, 3]),
    logit_bias=st.none()
    | st.dictionaries(st.integers(0, V - 1), st.floats(-9, 9), max_size=V).map(
        lambda biases: tuple(biases.items())
    ),
)
EACH = {
    "temperature": {"temperature": 0.7},
    "greedy": {"temperature": 0.0},
    "top-k": {"top_k": 3},
    "top-p": {"top_p": 0.7},
    "min-p": {"min_p": 0.1},
    "typical": {"typical_p": 0.6},
    "eta": {"eta_cutoff": 0.1},
    "repetition": {"repetition_penalty": 1.5},
    "presence": {"presence_penalty": 0.8},
    "frequency": {"frequency_penalty": 0.4},
    "ngrams": {"no_repeat_ngram_size": 2},
    "biases": {"logit_bias": ((1, 3.0), (4, -100.0))},
}


class Picky:
    """A guard that forbids some ids, others in each place."""

    reason, finished = "picky", ""

    def __init__(self, share, complete, decoder):
        self.share, self.complete, self.random = share, complete, np.random.default_rng(7)
        self.take(0, "")

    def forbids(self, token):
        return bool(self.bad[token])

    def take(self, token, text):
        self.bad = self.random.random(V) < self.share


def writings(seed, options, guards=()):
    """Make writings with prompts and a beginning of few letters, so that much comes again."""
    random, made = np.random.default_rng(seed), []
    for number, each in enumerate(options):
        prompt = random.integers(4, size=random.integers(0, 30))
        own = {"max_tokens": 999, "seed": seed, "number": number, "prompt_ids": prompt}
        made.append(Writing(CHAR, each, guards=guards, **own))
        for token in random.integers(4, size=random.integers(0, 400 if seed % 9 == 0 else 20)):
            made[-1].take(int(token), 1.0)
    return made


def log_probs(seed, streams, rounded=False):
    logits = 3 * np.random.default_rng(seed).normal(size=(streams, V))
    logits = np.round(logits) if rounded else logits  # many are equal
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def only_ids_may_leave(prediction):
    def refuse():
        raise AssertionError("all log-probabilities were fetched")

    prediction.log_probs = refuse
    without = prediction.without
    prediction.without = lambda *given: only_ids_may_leave(without(*given))
    return prediction


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 10_000),
    st.lists(OPTIONS, min_size=1, max_size=5),
    st.integers(0, 4),
    st.booleans(),
)
def test_a_device_draws_what_is_drawn_here_by_any_options(seed, options, more, rounded):
    options = options + options[:1] * more  # some have the same
    here, there = (Chooser(writings(seed, options)) for _ in range(2))
    for step in range(6):
        logs = log_probs(seed + step, len(options), rounded)
        ids = here.choose(DensePrediction(logs))
        prediction = only_ids_may_leave(TensorPrediction(torch.from_numpy(logs.copy())))
        np.testing.assert_array_equal(there.choose(prediction), ids)
        own = np.take_along_axis(logs, ids[:, None], axis=1)[:, 0]
        np.testing.assert_allclose(prediction.of(ids), own, rtol=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10_000),
    st.lists(OPTIONS, min_size=1, max_size=4),
    st.sampled_from([0.2, 0.7, 0.97, 1.0]),
    st.booleans(),
    st.sampled_from([1, 3, 16]),
)
def test_a_device_draws_anew_what_guards_refuse_as_it_is_done_here(
    seed, options, share, complete, few
):
    def picky(decoder):
        return Picky(share, complete, decoder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlm.generation.choosing.FEW", few)
        each = writings(seed, options, [picky]), writings(seed, options, [picky])
        here, there = (Chooser(own) for own in each)
        for step in range(6):
            logs = log_probs(seed + step, len(options))
            ids = here.choose(DensePrediction(logs))
            prediction = only_ids_may_leave(TensorPrediction(torch.from_numpy(logs.copy())))
            np.testing.assert_array_equal(there.choose(prediction), ids)
            for writing in (*each[0], *each[1]):
                writing.take(int(max(0, ids[writing.number])), 1.0)


def test_a_text_does_not_end_too_early_on_a_device():
    options = [SamplingOptions(logit_bias=((CHAR.boundary_id, 12.0),), min_tokens=500)] * 40
    prediction = TensorPrediction(torch.from_numpy(log_probs(1, 40)))
    free = Chooser(writings(1, options)).choose(prediction)
    assert (free == CHAR.boundary_id).sum() > 20
    own = writings(1, options, guards_of(options[0], None, None, CHAR))
    ids = Chooser(own).choose(only_ids_may_leave(prediction))
    assert CHAR.boundary_id not in ids and ids.min() >= 0


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), OPTIONS)
def test_in_float32_draws_differ_by_no_more_than_roundings_at_borders(seed, options):
    logs = np.repeat(log_probs(seed, 1), 200, axis=0).astype(np.float32)
    (writing,) = writings(seed, [options])
    chooser = Chooser([writing] * 200)
    noise, weights = np.arange(200) / 200 + 0.0021, np.exp(Chooser([writing])._rules(logs[:1])[0])
    ids = drawn(torch.from_numpy(logs), chooser._rules.described(), noise).numpy()
    ends = np.cumsum(weights.astype(np.float64)) / weights.sum(dtype=np.float64)
    lowest, highest = ends[ids] - weights[ids] / weights.sum(), ends[ids]
    assert (weights[ids] > 0).all()
    assert (lowest - 1e-5 <= noise).all() and (noise <= highest + 1e-5).all()


def cuts_of(options, streams):
    return Cuts(*np.array([options.cuts] * streams).T)


@pytest.mark.parametrize("name", ["temperature", "top-k", "top-p", "min-p", "typical", "eta"])
def test_an_id_that_has_no_weight_is_never_drawn_whatever_roundings_do_to_sums(name, monkeypatch):
    options = SamplingOptions(**EACH[name])
    logs = np.repeat(log_probs(3, 1) / 4, 400, axis=0)
    logs[:, ::2] = -np.inf
    cumsum, generator = torch.Tensor.cumsum, torch.Generator().manual_seed(1)

    def in_any_order(self, dim, dtype=None):
        sums = cumsum(self, dim, dtype=dtype)
        noisy = sums.is_floating_point() and dtype is not None  # those that are drawn from
        error = 0.05 * torch.rand(sums.shape, generator=generator) - 0.025
        return sums * (1 + error) if noisy else sums

    monkeypatch.setattr(torch.Tensor, "cumsum", in_any_order)
    noise = np.append(np.arange(399) / 399, np.nextafter(1.0, 0.0))
    description = Description([], cuts_of(options, 400))
    ids = drawn(torch.from_numpy(logs), description, noise).numpy()
    assert (ids % 2 == 1).all() and len(set(ids)) > 1


def test_what_would_leave_nothing_is_not_forbidden_and_the_other_streams_are_not_asked():
    logs = np.log(np.full((3, 4), 0.25))
    logs[1, 2:] = -np.inf
    places = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    description = Description(
        [Change(How.FORBID, *places, np.zeros(1))], cuts_of(SamplingOptions(), 3)
    )
    found = [
        drawn(torch.from_numpy(logs), description, np.full(3, noise)).tolist()
        for noise in np.linspace(0, 0.99, 50)
    ]
    assert [set(ids) for ids in zip(*found, strict=True)] == [{2, 3}, {0, 1}, {0, 1, 2, 3}]


def test_what_is_sent_arrives_as_it_is_whatever_is_sent_with_it():
    arrays = [
        np.array([True, False, True]),
        np.zeros(0, np.int64),
        np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::2],
        np.array([2**62, -1])[:, None],
        np.array([np.pi, -np.inf]),
    ]
    for some in (arrays, arrays[1:2], arrays[2:], []):
        for one, other in zip(some, sent(some, torch.device("cpu")), strict=True):
            assert other.numpy().dtype == one.dtype
            np.testing.assert_array_equal(other.numpy(), one)


LEAVING = {"cpu", "numpy", "tolist", "item", "__array__", "__bool__", "__int__", "__float__"}
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "unique_dim", "_unique2", "equal"}
BY_INDEX = {"index", "index_put", "index_put_"}


class Leaving(TorchFunctionMode):
    """Notes what is asked of tensors that makes their numbers leave a device: how many do."""

    def __init__(self):
        super().__init__()
        self.fetched, self.sent = [], 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = (resolve_name(func) or func.__name__).rpartition(".")[2]
        if name in LEAVING - {"numpy"}:  # which is asked of what has left
            self.fetched.append((name, args[0].numel()))
        if name == "numpy":
            assert args[0].numel() in {count for _, count in self.fetched}
        if name == "to" and any(isinstance(each, torch.device) for each in args):
            assert args[0].dtype == torch.uint8  # what is sent there
            self.sent += 1
        return func(*args, **(kwargs or {}))


class Waiting(TorchDispatchMode):
    """Notes what makes the processor wait for numbers of a device."""

    def __init__(self):
        super().__init__()
        self.waited = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.partition(".")[0]
        places = args[1] if name in BY_INDEX else []
        if name in WAITING or any(p is not None and p.dtype == torch.bool for p in places):
            self.waited.append(name)
        return func(*args, **(kwargs or {}))


def network(**more):
    torch.manual_seed(2)
    return NeuralPredictor(LanguageNetwork(NetworkConfig(V, 8, 16, **more)), CHAR.boundary_id)


def batch_of(options, guards=(), predictor=None, **keywords):
    predictor = predictor or network()
    own = [
        Writing(CHAR, each, max_tokens=25, seed=3, number=number, guards=guards, **keywords)
        for number, each in enumerate(options)
    ]
    batch = WritingBatch(predictor)
    batch.admit(own, predictor.start(len(own)))
    return batch, own


@pytest.mark.parametrize("name", [*EACH, "each its own"])
def test_while_writing_nothing_but_ids_and_their_log_p_leaves_a_device_in_one_transfer(name):
    alone = {"each its own": [SamplingOptions(**each) for each in EACH.values()]}
    options = alone.get(name) or [SamplingOptions(**EACH[name])] * 3
    batch, own = batch_of(options)
    before = 0
    while len(batch):
        streams = len(batch)
        with Leaving() as leaving, Waiting() as waiting:
            batch.step()
        assert leaving.fetched == [("cpu", 2 * streams)] and waiting.waited == []
        # the last ids and what to change; where a sample is complete, which go on, and new cuts
        assert leaving.sent <= (2 if before == streams == len(batch) else 4)
        before = streams
    assert sum(writing.tokens for writing in own) > 30


@pytest.mark.parametrize("head", [{"cutoffs": (9, 100)}, {"mixtures": 3}])
def test_no_head_waits_for_a_device(head):
    predictor = network(**head)
    predictor._at = torch.inference_mode()(
        lambda output: TensorPrediction(predictor.network.head.log_probs(output))
    )
    batch, _ = batch_of([SamplingOptions(top_p=0.9, repetition_penalty=1.2)] * 3, (), predictor)
    while len(batch):
        streams = len(batch)
        with Leaving() as leaving, Waiting() as waiting:
            batch.step()
        assert leaving.fetched == [("cpu", 2 * streams)] and waiting.waited == []


def test_where_guards_refuse_only_ids_and_their_log_p_leave_a_device():
    options = [SamplingOptions(**EACH["repetition"]), *[SamplingOptions()] * 3]
    batch, own = batch_of(options, [lambda decoder: Picky(0.8, False, decoder)])
    transfers = []
    while len(batch):
        streams = len(batch)
        with Leaving() as leaving, Waiting() as waiting:
            batch.step()
        assert waiting.waited == []
        assert {name for name, _ in leaving.fetched} == {"cpu"}
        assert max(count for _, count in leaving.fetched) <= 2 * streams
        transfers.append(len(leaving.fetched))
    assert max(transfers) > 2 and all(writing.tokens for writing in own)


def test_alternatives_leave_a_device_in_one_transfer_more():
    batch, _ = batch_of([SamplingOptions()] * 3, alternatives=4)
    with Leaving() as leaving, Waiting() as waiting:
        batch.step()
    assert leaving.fetched == [("cpu", 6), ("cpu", 24)] and waiting.waited == []


def test_to_leave_a_device_is_noticed_where_rules_do_not_tell_what_they_do():
    prediction = network().prediction(network().start(2))
    with Leaving() as leaving:
        prediction.draw(lambda logs: logs, np.array([0.1, 0.2]))
    assert leaving.fetched == [("cpu", 2 * V)]
    with Waiting() as waiting:
        torch.ones(3)[torch.ones(3, dtype=torch.bool)]
        torch.ones(3).nonzero()
        bool(torch.ones(1))
    assert len(waiting.waited) == 3


def test_a_text_is_the_same_where_the_rules_are_followed_on_a_device():
    options = [SamplingOptions(**each) for each in EACH.values()]
    batch, own = batch_of(options)
    while len(batch):
        batch.step()
    there = [writing.sample() for writing in own]
    predictor = network()
    there_own = predictor._at
    predictor._at = lambda output: DensePrediction(there_own(output).log_probs())
    batch, own = batch_of(options, predictor=predictor)
    while len(batch):
        batch.step()
    assert [writing.sample().text for writing in own] == [sample.text for sample in there]
    assert [writing.nats for writing in own] == pytest.approx([sample.nats for sample in there])
