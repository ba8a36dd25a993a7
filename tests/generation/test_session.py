"""Sessions: the figures of a search from the start, without doing it again at each keystroke."""

import itertools
import re

import numpy as np
import pytest
import torch

from charlm.generation import following
from charlm.generation import word_search as module
from charlm.generation.lexicon import Lexicon
from charlm.generation.session import Session, Sessions, _GrowingText, suggest
from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig
from charlm.predict.adapt import AdaptingPredictor
from charlm.predict.adaptation import Adaptation
from charlm.predict.cache import CachedPredictor
from charlm.predict.kneser_ney import estimate
from charlm.predict.mixture import MixturePredictor
from charlm.predict.neural import NeuralPredictor
from charlm.predict.ngram import NgramPredictor
from charlm.predict.predictor import DensePrediction
from charlm.predict.runtime import RuntimePredictor
from charlm.text.learning import learn_tokenizer
from tests.predictors import Bigram

TEXT = "a cat and a cab: the cat can't act. a bad act\n" * 10
KINDS = {
    "byte": learn_tokenizer("byte", lambda: [TEXT]),
    "char": learn_tokenizer("char", lambda: [TEXT]),
    "word": learn_tokenizer("word", lambda: [TEXT]),
    "bpe": learn_tokenizer("bpe", lambda: [TEXT], vocab_size=290),
    "closed": learn_tokenizer("word", lambda: [TEXT], unknown="unk"),
}


class Deep:
    """Depends on all ids read: log p is random by what they are, and words end in time.

    After `longest` ids only those of `last` come, so that everything can be enumerated.
    """

    def __init__(self, tokenizer, used, last, longest=10**9, seed=0):
        self.vocab_size, self.boundary_id = tokenizer.vocab_size, tokenizer.boundary_id
        self.used, self.last, self.longest, self.seed = used, last, longest, seed
        self.ids_read = 0  # ids, of all streams

    def start(self, streams):
        return [()] * streams

    def row(self, history):
        row = np.full(self.vocab_size, -np.inf)
        ids = self.used if len(history) < self.longest else self.last
        random = np.random.default_rng([self.seed, *history])
        row[ids] = np.log(random.dirichlet(np.ones(len(ids))))
        return row

    def prediction(self, state):
        return DensePrediction(np.array([self.row(history) for history in state]))

    def step(self, ids, state):
        self.ids_read += len(ids)
        state = [(*history, int(token)) for history, token in zip(state, ids, strict=True)]
        return self.prediction(state), state

    def score(self, ids, state):
        self.ids_read += ids.size
        return np.zeros(ids.shape), [(*h, *row) for h, row in zip(state, ids.tolist(), strict=True)]

    def select(self, state, streams):
        return [state[int(stream)] for stream in streams]

    def stack(self, states):
        return [history for state in states for history in state]


def enumerated(predictor, tokenizer, context, typed, depth):
    """Sum the probability of every word over every sequence of tokens."""
    history = tuple(tokenizer.encode(context).tolist())
    words, total = {}, 0.0

    def follow(history, spelled, p, left):
        nonlocal total
        reached = spelled[: len(typed)] == typed[: len(spelled)]
        if not reached or p < 1e-30:
            return
        if left == 0:
            assert len(spelled) >= len(typed)
            total += p
            word = re.match(r"\s*([a-z]+)(?=[^a-z])", spelled)
            if word and len(word.group()) >= len(typed):
                words[word.group(1)] = words.get(word.group(1), 0.0) + p
            return
        shares = np.exp(predictor.row(history))
        for token in sorted({*predictor.used, *predictor.last}):
            piece = tokenizer.pieces[token].decode()
            follow((*history, token), spelled + piece, p * shares[token], left - 1)

    follow(history, "", 1.0, depth)
    return {word: p / total for word, p in words.items()}


@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
@pytest.mark.parametrize(
    ("context", "typed"), [("a", " "), ("a", " c"), ("", "ca"), ("a:", ""), ("at", " cat")]
)
def test_figures_are_those_of_brute_force(kind, context, typed, monkeypatch):
    tokenizer = KINDS[kind]
    monkeypatch.setattr(module, "MAX_OPENED", 10**9)
    monkeypatch.setattr(module, "ENOUGH", 0)
    monkeypatch.setattr(following, "FAINT", 0)
    used = [tokenizer.encode(c)[0] for c in "cat :"]
    if kind == "bpe":
        used += [i for i, piece in enumerate(tokenizer.pieces) if piece in (b" c", b"at", b" a")]
    read, last = len(tokenizer.encode(context)), [tokenizer.encode(c)[0] for c in " :"]
    predictor = Deep(tokenizer, used, last, longest=read + 4, seed=3)
    expected = enumerated(predictor, tokenizer, context, typed, 6)
    found = suggest(predictor, tokenizer, context + typed, k=10**6)
    assert found.unexplored < 1e-9
    figures = {each.word: each.probability for each in found.suggestions}
    assert {word for word, p in expected.items() if p > 1e-9} <= set(figures)
    for word, figure in figures.items():
        assert figure == pytest.approx(expected.get(word, 0.0), abs=1e-6)


@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
@pytest.mark.parametrize(
    ("context", "typed"), [("a", " "), ("a", " c"), ("", "ca"), ("a:", ""), ("at", " cat")]
)
def test_a_figure_is_too_low_by_what_is_unexplored_at_most(kind, context, typed, monkeypatch):
    tokenizer = KINDS[kind]
    used = [tokenizer.encode(c)[0] for c in "cat :"]
    if kind == "bpe":
        used += [i for i, piece in enumerate(tokenizer.pieces) if piece in (b" c", b"at", b" a")]
    read, last = len(tokenizer.encode(context)), [tokenizer.encode(c)[0] for c in " :"]
    predictor = Deep(tokenizer, used, last, longest=read + 4, seed=3)
    expected, gaps = enumerated(predictor, tokenizer, context, typed, 6), []
    for opened, quick in itertools.product((1, 3, 8, 20), (False, True)):
        monkeypatch.setattr(module, "MAX_OPENED", opened)
        monkeypatch.setattr(module, "WIDTH", 3)
        found = Session(predictor, tokenizer, quick=quick).suggest(context + typed)
        for each in found.suggestions:
            gaps.append(expected[each.word] - each.probability)
            assert -1e-9 < gaps[-1] <= found.unexplored + 1e-9
        assert found.unexplored <= found.unsearched + 1e-9
    assert typed.strip() or max(gaps) > 0.001, "some figures were too low"


def test_a_quick_search_opens_no_more_than_a_keystroke_has_time_for(monkeypatch):
    tokenizer = KINDS["char"]
    predictor = Bigram.random(tokenizer, temperature=5.0)  # hardly knows anything
    for most in (5, 40):
        monkeypatch.setattr(module, "QUICKLY_OPENED", most)
        session = Session(predictor, tokenizer)
        assert session.suggest("a ").suggestions
        assert len(session._memo._shares) <= 2 + most
    whole = Session(predictor, tokenizer, quick=False)
    whole.suggest("a ")
    assert len(whole._memo._shares) > 300


def test_a_search_goes_on_until_the_words_it_lists_are_known(monkeypatch):
    tokenizer = KINDS["char"]
    used = [tokenizer.encode(c)[0] for c in "cat :"]
    read, last = len(tokenizer.encode("a")), [tokenizer.encode(c)[0] for c in " :"]
    predictor = Deep(tokenizer, used, last, longest=read + 4, seed=3)
    monkeypatch.setattr(module, "MAX_OPENED", 2)
    monkeypatch.setattr(module, "WIDTH", 1)
    monkeypatch.setattr(module, "MORE", 1)
    assert suggest(predictor, tokenizer, "a ").unexplored > 0.01
    monkeypatch.setattr(module, "MORE", 100)
    assert suggest(predictor, tokenizer, "a ").unexplored <= 0.01


@pytest.mark.parametrize("kind", ["byte", "char", "bpe", "word"])
def test_a_word_that_hardly_could_be_is_completed(kind):
    tokenizer = KINDS[kind]
    predictor = Bigram.of_text(tokenizer, TEXT)
    logs = predictor.table - 20.0 * (np.arange(tokenizer.vocab_size) == tokenizer.encode("b")[-1])
    predictor.table = logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))
    typed = "bbbbbbbbb"  # p is below 1e-60
    for quick in (False, True):
        found = Session(predictor, tokenizer, quick=quick).suggest("the " + typed, 3)
        assert found.suggestions and found.suggestions[0].word.startswith(typed)
        assert found.suggestions[0].probability > 0.01 and found.unexplored < 0.5


TYPED = ["", "a", "a ", "a c", "a ca", "a c", "a co", "a cat", "a cat ", "a cat:", "a cat: th"]
EDITED = ["a cab: th", "the c", "", "act. a b", "act. a bad act\nthe ", "act. can't ", "can'"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("quick", [True, False])
def test_a_session_says_what_one_that_was_asked_nothing_before_says(kind, quick):
    tokenizer = KINDS[kind]
    predictor = Bigram.of_text(tokenizer, TEXT)
    session = Session(predictor, tokenizer, quick=quick)
    for text in TYPED + EDITED:
        assert session.suggest(text, 4) == Session(predictor, tokenizer, quick=quick).suggest(
            text, 4
        )


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_read_is_the_text_that_stands_there(kind):
    tokenizer = KINDS[kind]
    predictor = Deep(tokenizer, [0], [0])
    session = Session(predictor, tokenizer)
    random = np.random.default_rng(5)
    text = ""
    for _ in range(60):
        cut = len(text) - int(random.integers(0, 1 + len(text) // int(random.integers(1, 9))))
        begin = int(random.integers(0, len(TEXT) - 40))
        text = text[:cut] + TEXT[begin : begin + int(random.integers(0, 900))]
        assert session.read(text) == [tuple(tokenizer.encode(text).tolist())]
        assert len(session._marks) <= 6


@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
def test_a_keystroke_reads_what_is_new_and_no_more(kind):
    tokenizer = KINDS[kind]
    predictor = Deep(tokenizer, [0], [0])
    session, text = Session(predictor, tokenizer), TEXT * 4
    session.read(text)
    before = predictor.ids_read
    for more in ("a", "a cat", "a cat and"):
        session.read(text + more)
    assert predictor.ids_read - before <= len(tokenizer.encode("a")) + 2 * len("a cat and")


@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
def test_a_word_that_was_looked_for_is_not_read_again(kind):
    tokenizer, encode = KINDS[kind], KINDS[kind].encode
    used = sorted({int(token) for text in ("a cat:", *"cat ") for token in encode(text)})
    predictor = Deep(tokenizer, used, used)
    session = Session(predictor, tokenizer)
    for text in ("a", "a ", "a c", "a ca", "a cat"):
        session.suggest(text)
    before, ids = predictor.ids_read, tuple(tokenizer.encode("a cat").tolist())
    assert session.read("a cat") == [ids]
    assert predictor.ids_read == before
    assert session.read("a cat:") == [tuple(tokenizer.encode("a cat:").tolist())]


@pytest.mark.parametrize("quick", [True, False])
def test_with_counts_and_a_cache_a_session_says_what_a_new_one_says(quick):
    tokenizer = KINDS["char"]
    config = NetworkConfig(tokenizer.vocab_size, 6, 12)
    random = np.random.default_rng(2)
    shapes = config.parameter_shapes()
    weights = {n: random.normal(0, 0.6, s).astype(np.float32) for n, s in shapes.items()}
    network = RuntimePredictor(config, weights, tokenizer.boundary_id)
    boundary = [tokenizer.boundary_id]
    ids = np.concatenate([boundary, tokenizer.encode(TEXT), boundary])
    tables = estimate(ids, np.array([0, len(ids) - 1]), tokenizer.vocab_size, 3).tables
    parts = [CachedPredictor(network, 0.3, 2.0, 40), NgramPredictor(tables, tokenizer.boundary_id)]
    predictor = MixturePredictor(parts, np.array([[0.6, 0.4]]))
    session = Session(predictor, tokenizer, quick=quick)
    for text in itertools.chain(TYPED, (TEXT[:end] for end in range(60, 90)), EDITED):
        found = session.suggest(text, 4)
        expected = Session(predictor, tokenizer, quick=quick).suggest(text, 4)
        assert found.unexplored == pytest.approx(expected.unexplored, abs=1e-4)
        listed = {each.word: each.probability for each in expected.suggestions}
        assert {e.word: e.probability for e in found.suggestions} == pytest.approx(listed, abs=1e-4)


def test_a_network_that_learns_as_it_reads_learns_from_every_word():
    tokenizer = KINDS["char"]
    torch.manual_seed(4)
    network = LanguageNetwork(NetworkConfig(tokenizer.vocab_size, 6, 12))
    adaptation = Adaptation(rate=0.5, decay=0.01, segment=3)
    predictor = AdaptingPredictor(NeuralPredictor(network, tokenizer.boundary_id), adaptation)
    session, text = Session(predictor, tokenizer), "a cat and a cab: the"
    for end in range(1, len(text) + 1):
        found = session.suggest(text[:end], 3)
    expected = Session(predictor, tokenizer).suggest(text, 3)
    listed = {each.word: each.probability for each in expected.suggestions}
    assert {e.word: e.probability for e in found.suggestions} == pytest.approx(listed, abs=1e-5)


def test_letters_of_a_word_open_what_is_open_already():
    tokenizer = KINDS["char"]
    predictor, steps = Bigram.of_text(tokenizer, TEXT), []
    step = predictor.step
    predictor.step = lambda ids, state: (steps.append(len(ids)), step(ids, state))[1]
    texts = ["the ", "the c", "the ca", "the cat"]
    for text in texts:
        Session(predictor, tokenizer).suggest(text)
    alone = sum(steps)
    steps.clear()
    session = Session(predictor, tokenizer)
    for text in texts:
        session.suggest(text)
    assert sum(steps) == len(session._memo._shares) - 1  # each was opened once
    assert sum(steps) < alone


def test_a_quick_search_finds_the_same_best_words():
    tokenizer = KINDS["char"]
    predictor = Bigram.of_text(tokenizer, TEXT)
    for text in ("the ", "a c", "", "can"):
        quick = Session(predictor, tokenizer).suggest(text, 3)
        whole = Session(predictor, tokenizer, quick=False).suggest(text, 3)
        assert [each.word for each in quick.suggestions] == [
            each.word for each in whole.suggestions
        ]
        for mine, theirs in zip(quick.suggestions, whole.suggestions, strict=True):
            assert mine.probability <= theirs.probability + 1e-9
            assert theirs.probability <= mine.probability + quick.unexplored + 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_a_growing_text_has_the_ids_of_the_whole(kind):
    tokenizer = KINDS[kind]
    growing, random = _GrowingText(tokenizer), np.random.default_rng(1)
    text = ""
    for piece in itertools.islice(itertools.cycle([TEXT, "   ", "é☃", "\r\n", "can't " * 90]), 40):
        text += piece[: int(random.integers(0, len(piece) + 1))]
        assert growing.ids(text).tolist() == tokenizer.encode(text).tolist()
        if random.random() < 0.2:
            text = text[: int(random.integers(0, len(text) + 1))]


def test_sessions_keep_texts_apart_and_are_bounded():
    tokenizer = KINDS["char"]
    predictor = Bigram.of_text(tokenizer, TEXT)
    made, lexicon = [], Lexicon(tokenizer)

    def make():
        made.append(Session(predictor, tokenizer, lexicon))
        return made[-1]

    sessions = Sessions(make, most=2)
    texts = {"one": "the cat can't act ", "other": "a bad act and a "}
    for letter in "cat and":
        for name in texts:
            texts[name] += letter
            expected = Session(predictor, tokenizer, lexicon).suggest(texts[name], 3)
            assert sessions.suggest(texts[name], 3) == expected
    assert len(made) == 2
    sessions.suggest("quite another text ", 3)
    assert len(made) == 3 and len(sessions) == 2
