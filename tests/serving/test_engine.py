"""The engine: each order is answered as though it were alone, and none can harm another."""

import gc
import threading
import time
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from charlm.errors import UsageError
from charlm.generation.generator import Generator
from charlm.generation.options import SamplingOptions
from charlm.generation.session import Session
from charlm.generation.suggest import Suggestions
from charlm.serving.engine import ModelEngine
from charlm.serving.orders import Busy, Failure, Order, Piece
from charlm.text.learning import learn_tokenizer
from tests.predictors import Bigram

TEXT = "the cat sat on the mat. привет, мир! the end\n" * 3
CHAR = learn_tokenizer("char", lambda: [TEXT])
BYTE = learn_tokenizer("byte", lambda: [TEXT])
PLAIN = SamplingOptions()
ENDLESS = SamplingOptions(temperature=0)  # which never draws the boundary


class Slow(Bigram):
    """Steps that take a while, are counted, and fail where they read an id that they cannot."""

    seconds, poison, steps, widest, ids_read = 0.0, None, 0, 0, 0

    def step(self, ids, state):
        time.sleep(self.seconds)
        self.steps, self.widest = self.steps + 1, max(self.widest, len(ids))
        if self.poison in ids:
            raise RuntimeError("an id that nobody can read")
        return super().step(ids, state)

    def score(self, ids, state):
        self.ids_read += ids.size
        if self.poison in ids:
            raise RuntimeError("an id that nobody can read")
        return super().score(ids, state)


def model_of(tokenizer=CHAR, predictor=None, **settings):
    predictor = predictor or Slow.of_text(tokenizer, TEXT, 1e-2)
    for name, value in settings.items():
        setattr(predictor, name, value)

    def session():
        return Session(predictor, tokenizer)

    return SimpleNamespace(predictor=predictor, tokenizer=tokenizer, session=session)


class Client:
    """Collects what comes for one order."""

    def __init__(self, count=1):
        self.answers, self._ends, self._count = [], 0, count
        self.done, self.first = threading.Event(), threading.Event()

    def __call__(self, answer):
        self.answers.append(answer)
        self.first.set()
        self._ends += not isinstance(answer, Piece) or answer.finish is not None
        if self._ends == self._count or not isinstance(answer, Piece):
            self.done.set()

    def wait(self):
        assert self.done.wait(20)
        return self

    def pieces(self, sample=0):
        return [each for each in self.answers if isinstance(each, Piece) and each.sample == sample]

    def text(self, sample=0):
        return "".join(piece.text for piece in self.pieces(sample))

    def tokens(self, sample=0):
        return [token for piece in self.pieces(sample) for token in piece.tokens]


@pytest.fixture
def engine_of():
    engines = []

    def make(model, **settings):
        engines.append(ModelEngine(model, **settings))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close(0)


def order(prompt="the ", options=PLAIN, max_tokens=30, tokenizer=CHAR, **keywords):
    return Order(tokenizer.encode(prompt), options, max_tokens, **keywords)


def asked(engine, one):
    client = Client(one.count)
    engine.complete(one, client)
    return client


def test_fifty_orders_at_a_time_are_each_answered_as_if_alone(engine_of):
    model = model_of()
    engine, random = engine_of(model), np.random.default_rng(0)
    orders = []
    for seed in range(50):
        rules = [PLAIN, SamplingOptions(temperature=0.5, top_k=3), SamplingOptions(top_p=0.7)]
        options, count = rules[random.integers(3)], int(random.integers(1, 4))
        prompt = TEXT[: random.integers(0, 60)]
        stops = ("at",) if random.random() < 0.3 else ()
        orders.append(order(prompt, options, 40, seed=seed, count=count, stops=stops))
    clients = []
    for one in orders:
        while True:
            try:
                clients.append(asked(engine, one))
                break
            except Busy:
                time.sleep(0.01)
    for one, client in zip(orders, clients, strict=True):
        client.wait()
        alone = Generator(
            model.predictor,
            CHAR,
            CHAR.decode(one.prompt),
            one.options,
            max_tokens=40,
            seed=one.seed,
            stops=one.stops,
            count=one.count,
        ).samples()
        for sample, expected in enumerate(alone):
            assert client.text(sample) == expected.text
            assert sum(piece.generated for piece in client.pieces(sample)) == expected.tokens
            finish = "length" if expected.stopped_by == "length" else "stop"
            assert [piece.finish for piece in client.pieces(sample)][-1] == finish
    assert model.predictor.widest > 10


def test_a_step_is_shared_and_no_more_streams_than_there_are_places(engine_of):
    model = model_of(seconds=0.001)
    engine = engine_of(model, streams=4)
    clients = [asked(engine, order(max_tokens=10)) for _ in range(12)]
    for client in clients:
        client.wait()
    assert model.predictor.widest == 4 and engine.steps < 12 * 10


@pytest.mark.parametrize("count", [1, 3])
def test_one_who_leaves_costs_no_more_than_a_step(engine_of, count):
    model = model_of(seconds=0.002)
    engine, client = engine_of(model), Client()
    ticket = engine.complete(order(options=ENDLESS, max_tokens=100_000, count=count), client)
    assert client.first.wait(10)
    ticket.cancel()
    ticket.cancel()
    steps, answers = model.predictor.steps, len(client.answers)
    time.sleep(0.1)
    assert model.predictor.steps <= steps + 1 and len(client.answers) <= answers + count
    assert asked(engine, order()).wait().text()


def test_one_who_leaves_while_it_waits_is_never_begun(engine_of):
    engine = engine_of(model_of(seconds=0.001), streams=1)
    first, second = asked(engine, order(max_tokens=60)), Client()
    engine.complete(order(), second).cancel()
    first.wait()
    asked(engine, order()).wait()
    assert second.answers == []


def test_a_full_queue_says_when_to_come_again(engine_of):
    engine = engine_of(model_of(seconds=0.005), streams=2, waiting=3)
    clients = [asked(engine, order(max_tokens=30)) for _ in range(5)]
    began = time.monotonic()
    with pytest.raises(Busy) as busy:
        engine.complete(order(), Client())
    assert busy.value.seconds >= 1 and time.monotonic() - began < 0.05
    for client in clients:
        client.wait()
    assert asked(engine, order()).wait().text()


def test_the_orders_of_a_request_wait_together_and_count_as_one(engine_of):
    engine, requests = engine_of(model_of(seconds=0.005), streams=2, waiting=2), "ab"
    clients = [asked(engine, order(max_tokens=30, request=name)) for name in "xx"]
    for _ in range(4):
        clients += [asked(engine, order(max_tokens=5, request=name)) for name in requests]
    with pytest.raises(Busy):
        engine.complete(order(request="c"), Client())
    clients.append(asked(engine, order(max_tokens=5, request="a")))
    for client in clients:
        assert client.wait().pieces()[-1].finish is not None


def test_nobody_is_sent_away_for_those_who_have_left(engine_of, monkeypatch):
    engine = engine_of(model_of(seconds=0.01), streams=1, waiting=2)
    going_on = asked(engine, order(options=ENDLESS, max_tokens=100))
    assert going_on.first.wait(10)
    for _ in range(5):
        engine.complete(order(), Client()).cancel()
    going_on.wait()
    begun, go_on = threading.Event(), threading.Event()

    def suggest(text, k):
        begun.set()
        assert go_on.wait(10)
        return Suggestions(text, (), 0.0, 0.0)

    monkeypatch.setattr(engine._rounds._sessions, "suggest", suggest)
    clients = [Client() for _ in range(3)]
    engine.suggest("one that is worked on", 3, clients[0])
    assert begun.wait(10)
    engine.suggest("one that waits", 3, clients[1])
    for _ in range(5):
        engine.suggest("who leaves", 3, Client()).cancel()
    engine.suggest("another", 3, clients[2])
    with pytest.raises(Busy):
        engine.suggest("one too many", 3, Client())
    go_on.set()
    for client in clients:
        client.wait()


def test_an_order_that_fails_while_its_prompt_is_read_fails_alone(engine_of):
    poison = int(CHAR.encode("я")[0])
    engine = engine_of(model_of(seconds=0.002, poison=poison))
    good = asked(engine, order(max_tokens=40, seed=1))
    (failure,) = asked(engine, order("привет, я")).wait().answers
    assert failure == Failure("the model failed")
    assert good.wait().pieces()[-1].finish is not None


def test_a_step_that_fails_ends_those_that_share_it_and_no_others(engine_of):
    poison = int(CHAR.encode("s")[0])
    model = model_of(poison=poison)
    engine = engine_of(model)
    clients = [asked(engine, order("the cat ", max_tokens=10_000, seed=seed)) for seed in (1, 2, 3)]
    for client in clients:
        assert isinstance(client.wait().answers[-1], Failure)
    model.predictor.poison = None
    assert asked(engine, order()).wait().pieces()[-1].finish is not None


def test_a_fault_of_the_engine_itself_fails_what_is_going_on_and_no_more(engine_of, monkeypatch):
    engine = engine_of(model_of())
    monkeypatch.setattr(engine._rounds, "_write", lambda: 1 / 0)
    assert isinstance(asked(engine, order()).wait().answers[-1], Failure)
    monkeypatch.undo()
    assert asked(engine, order()).wait().pieces()[-1].finish is not None


def test_who_asks_while_all_that_goes_on_is_given_up_is_told_so(engine_of, monkeypatch):
    engine, late = engine_of(model_of()), Client()
    monkeypatch.setattr(engine._rounds, "_write", lambda: 1 / 0)
    engine.complete(order(), lambda answer: engine.suggest("the ", 3, late))
    late.wait()


def test_a_client_that_cannot_take_its_answers_harms_nobody(engine_of):
    engine = engine_of(model_of())

    def refuse(answer):
        raise ValueError("gone")

    engine.complete(order(max_tokens=1000), refuse)
    assert asked(engine, order()).wait().text()


def test_what_takes_too_long_fails(engine_of):
    engine = engine_of(model_of(seconds=0.005), streams=1, seconds=0.1)
    first, second = (asked(engine, order(options=ENDLESS, max_tokens=100_000)) for _ in range(2))
    for client in (first, second):
        assert isinstance(client.wait().answers[-1], Failure)
    assert len(first.answers) > 1 and len(second.answers) == 1


def test_a_long_prompt_holds_up_nobody_for_long(engine_of):
    model = model_of(seconds=0.001)
    engine = engine_of(model)
    asked(engine, order(options=ENDLESS, max_tokens=100_000, seed=3)).first.wait(10)
    steps = model.predictor.steps
    asked(engine, order(TEXT * 30, max_tokens=1)).wait()
    assert model.predictor.ids_read >= len(TEXT) * 30
    assert model.predictor.steps - steps >= len(TEXT) * 30 // 128 - 1


def test_suggestions_are_made_beside_streams(engine_of):
    model = model_of(seconds=0.001)
    engine, client = engine_of(model), Client()
    going_on = asked(engine, order(max_tokens=200, seed=4))
    engine.suggest("the ca", 3, client)
    (found,) = client.wait().answers
    assert isinstance(found, Suggestions) and found == model.session().suggest("the ca", 3)
    assert going_on.wait().pieces()[-1].finish is not None
    client = Client()
    engine.suggest("\ud800", 3, client)
    assert "surrogate" in client.wait().answers[0].message


def test_closing_finishes_what_is_going_on_and_takes_nothing_more():
    engine = ModelEngine(model_of(seconds=0.001))
    client = asked(engine, order(max_tokens=30, seed=1))
    engine.close(10)
    assert client.done.is_set() and client.pieces()[-1].finish is not None
    with pytest.raises(Busy):
        engine.complete(order(), Client())
    with pytest.raises(Busy):
        engine.suggest("the", 3, Client())
    engine.close(0)


def test_closing_cuts_what_takes_longer():
    engine = ModelEngine(model_of(seconds=0.002), streams=1)
    clients = [asked(engine, order(options=ENDLESS, max_tokens=1_000_000)) for _ in range(3)]
    assert clients[0].first.wait(10)
    began = time.monotonic()
    engine.close(0.1)
    assert time.monotonic() - began < 5
    assert all(isinstance(client.answers[-1], Failure) for client in clients)


def test_memory_stays_flat_over_hundreds_of_orders(engine_of):
    engine = engine_of(model_of())

    def many(number):
        for _ in range(number):
            client = asked(engine, order(max_tokens=3, logprobs=2, echo=True))
            client.wait()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before = many(60)
    after = many(500)
    tracemalloc.stop()
    assert after < before + 50_000


def test_more_samples_than_places_are_refused(engine_of):
    engine = engine_of(model_of(), streams=4)
    for count in (0, 5):
        with pytest.raises(UsageError):
            engine.complete(order(count=count), Client())


@pytest.mark.parametrize("tokenizer", [CHAR, BYTE])
@pytest.mark.parametrize("k", [0, 2])
def test_an_echo_tells_the_log_p_of_every_token(engine_of, tokenizer, k):
    model, prompt = model_of(tokenizer), TEXT[:400]
    one = order(prompt, tokenizer=tokenizer, max_tokens=8, echo=True, logprobs=k, seed=1)
    client = asked(engine_of(model), one).wait()
    tokens, text, ids = client.tokens(), client.text(), one.prompt
    assert text.startswith(prompt)
    assert (tokens[0].log_prob, tokens[0].top) == (None, ())
    nats, _ = model.predictor.score(ids[None].astype(int), model.predictor.start(1))
    told = [-token.log_prob for token in tokens[1 : len(ids)]]
    assert told == pytest.approx(nats[0, 1:].tolist(), rel=1e-5)
    for token in tokens[1:]:
        assert len(token.top) == k
        if not token.text.startswith("bytes:"):
            assert text[token.offset :].startswith(token.text)
    logs = model.predictor.table[ids[3]]
    if k:
        assert tokens[4].top[0][1] == pytest.approx(logs.max())
        assert dict(tokens[4].top).keys() <= {engine_text(tokenizer, i) for i in range(len(logs))}


def engine_text(tokenizer, token):
    piece = tokenizer.pieces[token]
    try:
        return piece.decode() or "<|endoftext|>"
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)


def test_a_token_that_is_no_character_is_told_in_bytes_where_it_stands(engine_of):
    one = order("aпb", tokenizer=BYTE, max_tokens=0, echo=True, logprobs=0)
    client = asked(engine_of(model_of(BYTE)), one).wait()
    assert [(token.text, token.offset) for token in client.tokens()] == [
        ("a", 0),
        ("bytes:\\xd0", 1),
        ("bytes:\\xbf", 1),
        ("b", 2),
    ]
    assert client.text() == "aпb" and client.pieces()[-1].finish == "length"


def test_tokens_that_a_stop_string_took_back_are_not_told(engine_of):
    one = order(options=SamplingOptions(temperature=0), stops=(" t",), logprobs=1, max_tokens=99)
    client = asked(engine_of(model_of()), one).wait()
    assert "".join(token.text for token in client.tokens()) == client.text()
    assert client.pieces()[-1].finish == "stop"
    generated = sum(piece.generated for piece in client.pieces())
    assert generated == len(client.tokens()) + 2


def test_an_order_for_no_tokens_or_with_no_prompt_is_answered(engine_of):
    engine = engine_of(model_of())
    (only,) = asked(engine, order(max_tokens=0)).wait().answers
    assert only == Piece(0, "", finish="length")
    client = asked(engine, order("", max_tokens=0, echo=True, count=2, logprobs=1)).wait()
    assert client.answers == [Piece(0, "", finish="length"), Piece(1, "", finish="length")]
    assert asked(engine, order("", max_tokens=5)).wait().pieces()[-1].finish is not None


@pytest.mark.parametrize("stops", [(), ("at",)])
@pytest.mark.parametrize("logprobs", [None, 2])
def test_a_whole_answer_is_what_its_pieces_are_together(engine_of, logprobs, stops):
    engine = engine_of(model_of())
    keywords = {"seed": 3, "count": 3, "echo": True, "logprobs": logprobs, "stops": stops}
    pieces = asked(engine, order(**keywords)).wait()
    whole = asked(engine, order(**keywords, whole=True))
    for sample in range(3):
        assert whole.wait().text(sample) == pieces.text(sample)
        assert whole.tokens(sample) == pieces.tokens(sample)
        told, parts = whole.pieces(sample), pieces.pieces(sample)
        assert len(told) == 2 < len(parts) and told[-1].finish == parts[-1].finish
        assert told[-1].generated == sum(piece.generated for piece in parts)
