"""Beam search: the best of all texts where beams are enough, greedy where there is one."""

import itertools

import numpy as np
import pytest

from charlm.errors import UsageError
from charlm.generation.generator import Generator
from charlm.generation.options import BeamOptions, SamplingOptions
from charlm.text.learning import learn_tokenizer
from tests.predictors import Bigram

TOKENIZER = learn_tokenizer("char", lambda: ["abc "])
LETTERS = [int(TOKENIZER.encode(letter)[0]) for letter in "abc "]


def of_letters(seed):
    """Make a random model of four letters and the end."""
    used = [*LETTERS, TOKENIZER.boundary_id]
    table = np.full((TOKENIZER.vocab_size,) * 2, -60.0)
    for row in used:
        table[row, used] = np.log(np.random.default_rng([seed, row]).dirichlet(np.ones(5)))
    return Bigram(table, TOKENIZER.boundary_id)


def search(predictor, beams, count=1, prompt="a", max_tokens=4, penalty=1.0, **options):
    stops = options.pop("stops", ())
    return Generator(
        predictor,
        TOKENIZER,
        prompt,
        SamplingOptions(**options),
        max_tokens=max_tokens,
        stops=stops,
        count=count,
        beams=BeamOptions(beams, penalty),
    ).samples()


def all_texts(predictor, length, penalty):
    """Score every text of up to so many letters, with its end, or of the full length."""
    start, end = LETTERS[0], TOKENIZER.boundary_id
    for size in range(length + 1):
        for letters in itertools.product(LETTERS, repeat=size):
            ids = [start, *letters] + ([end] if size < length else [])
            p = sum(predictor.table[a, b] for a, b in itertools.pairwise(ids))
            yield float(p / (len(ids) - 1) ** penalty), TOKENIZER.decode(letters), float(p)


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0, 2.0, -1.0])
@pytest.mark.parametrize("seed", range(5))
def test_enough_beams_find_the_best_of_all_texts(seed, penalty):
    predictor = of_letters(seed)
    best = sorted(all_texts(predictor, 3, penalty), reverse=True)[:3]
    found = search(predictor, 125, count=3, penalty=penalty, max_tokens=3)
    for (_, _, p), sample in zip(best, found, strict=True):  # two texts may be as probable
        assert sample.nats == pytest.approx(-p, abs=1e-4)
    assert len({sample.text for sample in found}) == 3


WAYS = [
    {},
    {"stops": ["ca", "b "]},
    {"regex": "[ab]+c?[ab ]*"},
    {"prefix": "cab"},
    {"words": ("ab", "ba", "cab")},
    {"repetition_penalty": 3.0, "temperature": 0.9},  # no beam search looks at them
]


@pytest.mark.parametrize("options", WAYS, ids=lambda options: next(iter(options), "free"))
@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
def test_one_beam_takes_the_most_probable_token_each_time(options, penalty):
    texts = set()
    for seed in range(12):
        predictor = of_letters(seed)
        rules = {k: v for k, v in options.items() if k in ("regex", "prefix", "words")}
        rules = SamplingOptions(temperature=0, **rules)
        stops = options.get("stops", ())
        greedy = Generator(predictor, TOKENIZER, "b", rules, max_tokens=8, stops=stops)
        found = search(predictor, 1, prompt="b", max_tokens=8, penalty=penalty, **options)
        assert found == greedy.samples()
        texts.add(found[0].text)
    assert len(texts) > 1


def all_stopped(predictor, length, stop):
    """Score every text of up to so many letters, cut before a stop string."""
    start, end = LETTERS[0], TOKENIZER.boundary_id
    for size in range(length + 1):
        for letters in itertools.product(LETTERS, repeat=size):
            text = TOKENIZER.decode(letters)
            stopped = text.endswith(stop)
            if stop in text[:-1]:
                continue  # it ended before
            ids = [start, *letters] + ([end] if size < length and not stopped else [])
            p = sum(predictor.table[a, b] for a, b in itertools.pairwise(ids))
            yield float(p), text.removesuffix(stop), stopped


@pytest.mark.parametrize("seed", range(5))
def test_enough_beams_find_the_best_of_all_texts_that_a_stop_string_may_end(seed):
    predictor = of_letters(seed)
    every = sorted(all_stopped(predictor, 3, "b"), reverse=True)
    first = {text: (p, text, stopped) for p, text, stopped in reversed(every)}
    best = sorted(first.values(), reverse=True)[:4]
    found = search(predictor, 125, count=4, penalty=0.0, max_tokens=3, stops=["b"])
    for (p, text, stopped), sample in zip(best, found, strict=True):
        assert sample.nats == pytest.approx(-p, abs=1e-4)
        assert (sample.text, sample.stopped_by == "stop") == (text, stopped)


def test_where_the_most_probable_tokens_all_end_a_text_others_go_on():
    table = np.full((TOKENIZER.vocab_size,) * 2, -60.0)
    table[:, [*LETTERS, TOKENIZER.boundary_id]] = np.log([0.22, 0.22, 0.22, 0.12, 0.22])
    predictor = Bigram(table, TOKENIZER.boundary_id)
    found = search(predictor, 2, count=2, penalty=5.0, max_tokens=4, stops=["a", "b", "c"])
    assert [one.text for one in found] == ["   ", "    "]


def test_beams_are_the_same_every_time_and_in_order():
    predictor = of_letters(3)
    found = search(predictor, 6, count=6, penalty=0.0)
    assert found == search(predictor, 6, count=6, penalty=0.0)
    assert [one.nats for one in found] == sorted(one.nats for one in found)
    assert len({(one.text, one.stopped_by) for one in found}) == 6


def test_a_stop_string_ends_a_beam():
    for sample in search(of_letters(1), 8, count=8, max_tokens=6, stops=["b"]):
        assert "b" not in sample.text


def test_beams_keep_to_a_language():
    found = search(of_letters(2), 20, count=4, max_tokens=5, regex="[ab]{2,3}c?")
    assert found and all(set(one.text) <= set("abc") and len(one.text) >= 2 for one in found)
    assert {one.stopped_by for one in found} <= {"match", "end"}
    [best] = search(of_letters(2), 20, max_tokens=5, words=("ab", "ba", "cab"))
    assert best.text.strip() in ("ab", "ba", "cab")


def test_what_makes_no_sense_is_refused():
    for options in ({"count": 3, "beams": 2}, {"beams": 2, "max_copy": 5}):
        with pytest.raises(UsageError):
            search(of_letters(0), **options)
    for values in ((-1, 1.0), (1001, 1.0), (2, float("nan"))):
        with pytest.raises(UsageError):
            BeamOptions(*values)


def test_of_one_text_in_several_spellings_the_best_alone_is_given():
    tokenizer = learn_tokenizer("bpe", lambda: ["the object of the value " * 20], vocab_size=300)
    predictor = Bigram.random(tokenizer, temperature=1.0)
    generator = Generator(
        predictor,
        tokenizer,
        "the",
        SamplingOptions(words=("object", "value")),
        max_tokens=20,
        count=4,
        beams=BeamOptions(beams=8),
    )
    texts = [sample.text for sample in generator.samples()]
    assert len(set(texts)) == len(texts) > 1


class Asked(Bigram):
    """Notes how many of the most probable ids are asked for."""

    def prediction(self, state):
        prediction = super().prediction(state)
        top = prediction.top

        def noted(k):
            self.most = [*getattr(self, "most", []), k]
            return top(k)

        prediction.top, prediction.log_probs = noted, None
        return prediction


@pytest.mark.parametrize("stops", [[], list("abc ")])
def test_a_search_looks_at_no_more_ids_than_it_needs(stops):
    predictor = of_letters(3)
    asked = Asked(predictor.table, predictor.boundary_id)
    found = search(asked, 3, prompt="b", stops=stops)
    assert found == search(predictor, 3, prompt="b", stops=stops)
    assert set(asked.most) == ({4, 32} if stops else {4})
