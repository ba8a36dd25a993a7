"""Samples that join and leave at any time: each is what it would be alone."""

import numpy as np
import pytest
import torch

from charlm.generation.batching import WritingBatch
from charlm.generation.choosing import Chooser
from charlm.generation.options import SamplingOptions
from charlm.generation.sampling import apply_rules
from charlm.generation.writing import Writing
from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig
from charlm.predict.cache import CachedPredictor
from charlm.predict.kneser_ney import estimate
from charlm.predict.mixture import MixturePredictor
from charlm.predict.ngram import NgramPredictor
from charlm.predict.predictor import DensePrediction
from charlm.predict.runtime import RuntimePredictor
from charlm.text.learning import learn_tokenizer
from tests.predictors import Bigram

TEXT = "the cat sat on the mat. the dog sat on the log. привет!\n" * 3
CHAR = learn_tokenizer("char", lambda: [TEXT])
OPTIONS = [
    SamplingOptions(),
    SamplingOptions(temperature=0.5, top_k=5),
    SamplingOptions(temperature=0),
    SamplingOptions(top_p=0.8, repetition_penalty=1.3),
    SamplingOptions(min_p=0.05),
]


def network():
    torch.manual_seed(0)
    config = NetworkConfig(
        vocab_size=CHAR.vocab_size, embed_size=24, hidden_size=48, num_layers=2, cell="lstm"
    )
    weights = {
        name: (6 * value).numpy() for name, value in LanguageNetwork(config).state_dict().items()
    }
    return RuntimePredictor(config, weights, CHAR.boundary_id)


def counts():
    ids = np.array([CHAR.boundary_id, *CHAR.encode(TEXT), CHAR.boundary_id])
    tables = estimate(ids, np.array([0, len(ids) - 1]), CHAR.vocab_size, 4).tables
    return NgramPredictor(tables, CHAR.boundary_id)


def combination():
    own = counts()
    cached = CachedPredictor(network(), share=0.3, flatness=0.5, size=30)
    weights = np.random.default_rng(0).dirichlet([2, 2], size=4)
    return MixturePredictor([cached, own], weights, own)


PREDICTORS = {
    "network": network,
    "counts": counts,
    "cache": lambda: CachedPredictor(network(), share=0.5, flatness=0.5, size=20),
    "combination": combination,
}


class Asked:
    """A sample that is asked for: everything that it depends on."""

    def __init__(self, random, number):
        self.prompt = CHAR.encode("the cat sat on the mat"[: random.integers(0, 20)])
        self.keywords = {
            "options": OPTIONS[random.integers(len(OPTIONS))],
            "max_tokens": int(random.integers(1, 40)),
            "seed": int(random.integers(1000)),
            "number": number,
            "stops": ["."] if random.random() < 0.3 else [],
        }

    def writing(self):
        return Writing(CHAR, prompt_ids=self.prompt, **self.keywords)

    def state(self, predictor):
        state = predictor.start(1)
        return predictor.score(self.prompt[None], state)[1] if len(self.prompt) else state

    def alone(self, predictor):
        writing, batch = self.writing(), WritingBatch(predictor)
        batch.admit([writing], self.state(predictor))
        while len(batch):
            batch.step()
        return writing.sample()


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_sample_is_the_same_whoever_joins_and_leaves_meanwhile(name):
    predictor, random = PREDICTORS[name](), np.random.default_rng(5)
    waiting = [Asked(random, number) for number in range(30)]
    batch, begun = WritingBatch(predictor), []
    while waiting or len(batch):
        for _ in range(random.integers(0, 4)):
            if waiting:
                asked = waiting.pop()
                begun.append((asked, asked.writing()))
                batch.admit([begun[-1][1]], asked.state(predictor))
        going_on = [writing for _, writing in begun if not writing.stopped_by]
        if going_on and random.random() < 0.1:
            left = going_on[random.integers(len(going_on))]
            batch.remove([left])
            left.stopped_by = "left"
        batch.step()
    assert sum(writing.stopped_by == "left" for _, writing in begun) > 1
    for asked, writing in begun:
        alone, together = asked.alone(predictor), writing.sample()
        if together.stopped_by == "left":
            assert alone.text.startswith(together.text)
        else:
            assert (together.text, together.stopped_by) == (alone.text, alone.stopped_by)
            assert together.nats == pytest.approx(alone.nats, rel=1e-4)


def test_samples_of_one_state_are_admitted_together():
    predictor, random = counts(), np.random.default_rng(1)
    asked = [Asked(random, number) for number in range(4)]
    for each in asked:
        each.prompt, each.keywords["max_tokens"] = asked[0].prompt, 9
    asked[2].keywords["max_tokens"] = 0
    batch, writings = WritingBatch(predictor), [each.writing() for each in asked]
    batch.admit(writings, predictor.select(asked[0].state(predictor), [0] * 4))
    assert len(batch) == 3
    while len(batch):
        batch.step()
    for each, writing in zip(asked, writings, strict=True):
        if each is not asked[2]:
            assert writing.sample() == each.alone(predictor)
    assert (writings[2].text, writings[2].stopped_by) == ([], "length")


class Counting(Bigram):
    """Counts the streams of every step."""

    def step(self, ids, state):
        self.steps = [*getattr(self, "steps", []), len(ids)]
        return super().step(ids, state)


def test_no_step_is_taken_for_one_that_left_or_is_complete():
    predictor = Counting.random(CHAR)
    batch = WritingBatch(predictor)
    options = {"options": SamplingOptions(temperature=0), "seed": 1}
    first, second, third = (Writing(CHAR, max_tokens=n, **options) for n in (2, 9, 9))
    batch.admit([first, second, third], predictor.start(3))
    batch.step()
    batch.step()  # the first is complete
    batch.remove([third])
    batch.step()
    batch.remove([second])
    assert len(batch) == 0 and batch.step() == []
    assert predictor.steps == [3, 1]


def test_each_row_is_drawn_from_by_its_own_options():
    random = np.random.default_rng(2)
    logs = np.log(random.dirichlet(np.ones(CHAR.vocab_size), size=20)).astype(np.float32)
    own = [OPTIONS[random.integers(len(OPTIONS))] for _ in logs]
    writings = [Writing(CHAR, each, max_tokens=5, seed=row) for row, each in enumerate(own)]
    ids = Chooser(writings).choose(DensePrediction(logs))
    for row, options in enumerate(own):
        noise = Writing(CHAR, options, max_tokens=5, seed=row).noise()
        ruled = apply_rules(logs[row : row + 1], options, None)
        assert DensePrediction(ruled).draw(lambda logs: logs, np.array([noise])) == ids[row]


def test_the_most_probable_are_told_of_those_who_want_them():
    predictor = Bigram.random(CHAR)
    batch = WritingBatch(predictor)
    writings = [
        Writing(CHAR, SamplingOptions(), max_tokens=3, seed=k, alternatives=k) for k in (0, 2, 5)
    ]
    batch.admit(writings, predictor.start(3))
    none, two, five = batch.step()
    assert none.top is None
    ids, logs = five.top
    expected = DensePrediction(predictor.table[[CHAR.boundary_id]]).top(5)
    assert ids.tolist() == expected[0][0].tolist() and np.allclose(logs, expected[1][0])
    assert two.top[0].tolist() == ids[:2].tolist()
    assert five.nats == pytest.approx(-predictor.table[CHAR.boundary_id, five.token])


class Short:
    """A guard that lets three tokens through, and nothing that follows an end."""

    reason = "short"
    complete = False

    def __init__(self, decoder):
        self.taken = []

    @property
    def finished(self):
        return "short" if len(self.taken) == 3 else ""

    def forbids(self, token):
        return token == CHAR.boundary_id or token in self.taken

    def take(self, token, text):
        self.taken.append(token)


def test_a_guard_ends_a_sample_that_is_complete_for_it():
    predictor = Bigram.random(CHAR)
    batch = WritingBatch(predictor)
    options = {"max_tokens": 9, "guards": [Short]}
    writings = [Writing(CHAR, SamplingOptions(), seed=seed, **options) for seed in range(20)]
    batch.admit(writings, predictor.start(20))
    while len(batch):
        batch.step()
    for writing in writings:
        assert (writing.tokens, writing.stopped_by) == (3, "short")
        assert len(set(writing.guards[0].taken)) == 3


def test_noise_is_the_same_however_many_numbers_are_drawn_at_a_time():
    writing, plain = Writing(CHAR, SamplingOptions(), max_tokens=9, seed=4, number=2), [4, 2]
    random = np.random.default_rng(plain)
    assert [writing.noise() for _ in range(150)] == [random.random() for _ in range(150)]


def test_who_begins_together_is_predicted_together():
    predictor, random = Counting.of_text(CHAR, TEXT, 1e-2), np.random.default_rng(1)
    batch, asked = WritingBatch(predictor), [Asked(random, number) for number in range(5)]
    for each in asked:
        batch.admit([each.writing()], each.state(predictor))
    predictions = []
    own = predictor.prediction
    predictor.prediction = lambda state: predictions.append(state) or own(state)
    assert len(batch.step()) == 5 and len(predictions) == 1
